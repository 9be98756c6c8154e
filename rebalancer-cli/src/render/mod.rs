//! The output: tables and documents for people, JSON and YAML for programs.

pub(crate) mod approval;
pub mod assignment;
pub mod backtest;
pub mod bar;
pub mod check;
pub mod document;
pub mod group;
pub mod members;
pub mod page;
pub mod rejoin;
pub mod scenarios;
mod sparkline;
pub mod steering;
pub mod style;
pub mod table;
mod text;
pub(crate) mod wrap;

#[cfg(test)]
pub(crate) mod tests;
