//! Cycles among the modules of a crate.
//!
//! A module depends on another when a path in it leads there: a `use`, or `crate::`, `super::` and
//! `self::` anywhere. Re-exports are followed to the module that defines the name. The modules
//! that one parent declares are compared with each other, each together with what is below it. A
//! parent may use its children, and children what their parent defines: that is one unit.
//! Modules for tests do not count.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use crate::Error;
use crate::packages::{Package, packages};

/// The path of a module from the root of its crate; empty for the root.
type ModulePath = Vec<String>;

/// Modules that depend on each other, as names below a common parent.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Cycle {
    /// The parent; empty for the root of the crate.
    parent: ModulePath,
    /// The modules, by name.
    modules: Vec<String>,
    /// One example of each dependency within the cycle.
    examples: Vec<String>,
}

/// Lists the cycles of every package of the workspace.
///
/// # Errors
/// If there is a cycle, or a file cannot be read or is not Rust.
pub(crate) fn run() -> Result<(), Error> {
    let mut found = 0;
    for Package { name, roots, .. } in packages()? {
        for root in roots {
            let mut modules = BTreeMap::new();
            read_file(&root, Vec::new(), &mut modules)?;
            for cycle in find(&modules) {
                found += 1;
                println!(
                    "{name}: {} depend on each other",
                    below(&cycle.parent, &cycle.modules).join(", ")
                );
                for example in cycle.examples {
                    println!("    {example}");
                }
            }
        }
    }
    match found {
        0 => Ok(()),
        1 => Err("there is a cycle of modules".into()),
        _ => Err(format!("there are {found} cycles of modules").into()),
    }
}

/// The full paths of modules.
fn below(parent: &[String], modules: &[String]) -> Vec<String> {
    let path = |module: &String| {
        let mut path = parent.to_vec();
        path.push(module.clone());
        path.join("::")
    };
    modules.iter().map(path).collect()
}

/// One module.
#[derive(Debug, Default)]
struct Module {
    /// The paths in it, each from the root of the crate.
    paths: BTreeSet<Vec<String>>,
    /// The names that a `use` brings into the module, and where they lead.
    imports: BTreeMap<String, Vec<String>>,
}

fn read_file(
    file: &Path,
    module: ModulePath,
    modules: &mut BTreeMap<ModulePath, Module>,
) -> Result<(), Error> {
    let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let tokens =
        TokenStream::from_str(&text).map_err(|error| format!("{}: {error}", file.display()))?;
    let is_root = module.is_empty();
    let stem = file.file_stem().unwrap_or_default();
    let folder = file.parent().unwrap_or(Path::new("")).to_owned();
    let folder = if is_root || stem == "mod" {
        folder
    } else {
        folder.join(stem)
    };
    read_items(tokens, &folder, module, modules)
}

fn read_items(
    tokens: TokenStream,
    folder: &Path,
    module: ModulePath,
    modules: &mut BTreeMap<ModulePath, Module>,
) -> Result<(), Error> {
    modules.entry(module.clone()).or_default();
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut index = 0;
    let mut of_tests = false;
    while let Some(token) = tokens.get(index) {
        match token {
            TokenTree::Punct(punct) if punct.as_char() == '#' => {
                if let Some(TokenTree::Group(attribute)) = tokens.get(index + 1) {
                    of_tests |= attribute.stream().to_string().replace(' ', "") == "cfg(test)";
                    index += 2;
                    continue;
                }
            }
            TokenTree::Ident(ident) if ident == "mod" => {
                if let Some(TokenTree::Ident(name)) = tokens.get(index + 1) {
                    let mut child = module.clone();
                    child.push(name.to_string());
                    let inline = match tokens.get(index + 2) {
                        Some(TokenTree::Group(body)) => Some(body.stream()),
                        Some(_) | None => None,
                    };
                    if !of_tests {
                        match inline {
                            Some(body) => {
                                read_items(body, &folder.join(name.to_string()), child, modules)?;
                            }
                            None => read_file(&file_of(folder, &name.to_string()), child, modules)?,
                        }
                    }
                    of_tests = false;
                    index += 3;
                    continue;
                }
            }
            TokenTree::Ident(ident) if ident == "use" && !of_tests => {
                let end = tokens[index..]
                    .iter()
                    .position(|token| is_punct(token, ';'))
                    .map_or(tokens.len(), |length| index + length);
                let entry = modules.entry(module.clone()).or_default();
                read_use(&tokens[index + 1..end], &[], &module, entry);
                index = end;
                continue;
            }
            TokenTree::Group(_)
            | TokenTree::Ident(_)
            | TokenTree::Punct(_)
            | TokenTree::Literal(_) => {}
        }
        let ends_item = match token {
            TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
            TokenTree::Punct(punct) => punct.as_char() == ';',
            TokenTree::Ident(_) | TokenTree::Literal(_) => false,
        };
        if !of_tests {
            let entry = modules.entry(module.clone()).or_default();
            read_path(&tokens, index, &module, entry);
        }
        of_tests &= !ends_item;
        index += 1;
    }
    Ok(())
}

fn file_of(folder: &Path, name: &str) -> PathBuf {
    let flat = folder.join(format!("{name}.rs"));
    if flat.exists() {
        flat
    } else {
        folder.join(name).join("mod.rs")
    }
}

/// The path that begins at `index`, and the paths of the group there.
fn read_path(tokens: &[TokenTree], index: usize, module: &ModulePath, into: &mut Module) {
    match &tokens[index] {
        TokenTree::Group(group) => {
            let inner: Vec<TokenTree> = group.stream().into_iter().collect();
            let mut at = 0;
            while at < inner.len() {
                if matches!(&inner[at], TokenTree::Ident(ident) if ident == "use") {
                    let end = inner[at..]
                        .iter()
                        .position(|token| is_punct(token, ';'))
                        .map_or(inner.len(), |length| at + length);
                    read_use(&inner[at + 1..end], &[], module, into);
                    at = end;
                }
                if at < inner.len() {
                    read_path(&inner, at, module, into);
                }
                at += 1;
            }
        }
        TokenTree::Ident(ident) if ["crate", "super", "self"].iter().any(|word| ident == word) => {
            let mut segments = vec![ident.to_string()];
            let mut at = index + 1;
            while let (Some(first), Some(second), Some(TokenTree::Ident(next))) =
                (tokens.get(at), tokens.get(at + 1), tokens.get(at + 2))
            {
                if !is_punct(first, ':') || !is_punct(second, ':') {
                    break;
                }
                segments.push(next.to_string());
                at += 3;
            }
            if segments.len() > 1
                && let Some(path) = absolute(&segments, module)
            {
                into.paths.insert(path);
            }
        }
        TokenTree::Ident(_) | TokenTree::Punct(_) | TokenTree::Literal(_) => {}
    }
}

/// The leaves of the tree of a `use`.
fn read_use(tokens: &[TokenTree], prefix: &[String], module: &ModulePath, into: &mut Module) {
    let mut path = prefix.to_vec();
    let mut renamed = None;
    let mut index = 0;
    while let Some(token) = tokens.get(index) {
        match token {
            TokenTree::Ident(ident) if ident == "as" => {
                renamed = tokens.get(index + 1).map(ToString::to_string);
                index += 1;
            }
            TokenTree::Ident(ident) => path.push(ident.to_string()),
            TokenTree::Group(group) => {
                let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                for branch in inner.split(|token| is_punct(token, ',')) {
                    if !branch.is_empty() {
                        read_use(branch, &path, module, into);
                    }
                }
                return;
            }
            TokenTree::Punct(punct) if punct.as_char() == '*' => path.push("*".into()),
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
        index += 1;
    }
    if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
        path.pop();
    }
    let known = absolute(&path, module);
    let absolute_path = known.unwrap_or_else(|| {
        // The name of a child, or another crate.
        module.iter().chain(&path).cloned().collect()
    });
    if let Some(name) = renamed.or_else(|| path.last().cloned()) {
        into.imports.insert(name, absolute_path.clone());
    }
    into.paths.insert(absolute_path);
}

fn is_punct(token: &TokenTree, character: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == character)
}

/// A path with `crate`, `super` or `self` at its start, from the root of the crate.
fn absolute(segments: &[String], module: &ModulePath) -> Option<Vec<String>> {
    let mut base = module.clone();
    let mut rest = segments;
    match rest.first()?.as_str() {
        "crate" => {
            base.clear();
            rest = &rest[1..];
        }
        "self" => rest = &rest[1..],
        "super" => {
            while rest.first().is_some_and(|first| first == "super") {
                base.pop();
                rest = &rest[1..];
            }
        }
        _ => return None,
    }
    base.extend_from_slice(rest);
    Some(base)
}

/// The module that defines what `path` leads to.
fn definer(
    path: &[String],
    modules: &BTreeMap<ModulePath, Module>,
    depth: usize,
) -> Option<ModulePath> {
    let known = (0..=path.len())
        .rev()
        .find(|length| modules.contains_key(&path[..*length]))?;
    let module = path[..known].to_vec();
    let Some(name) = path.get(known) else {
        return Some(module);
    };
    match modules[&module].imports.get(name) {
        Some(target) if depth < 16 && target[..] != path[..] => {
            let mut target = target.clone();
            target.extend_from_slice(&path[known + 1..]);
            Some(
                definer(&target, modules, depth + 1)
                    .filter(|found| !found.is_empty())
                    .unwrap_or(module),
            )
        }
        Some(_) | None => Some(module),
    }
}

fn find(modules: &BTreeMap<ModulePath, Module>) -> Vec<Cycle> {
    // For each parent, which of its children depend on which, with an example.
    let mut levels: BTreeMap<ModulePath, BTreeMap<(String, String), String>> = BTreeMap::new();
    for (from, module) in modules {
        for path in &module.paths {
            let Some(to) = definer(path, modules, 0) else {
                continue;
            };
            let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
            let (Some(source), Some(target)) = (from.get(shared), to.get(shared)) else {
                continue;
            };
            levels
                .entry(from[..shared].to_vec())
                .or_default()
                .entry((source.clone(), target.clone()))
                .or_insert_with(|| format!("{} uses {}", from.join("::"), path.join("::")));
        }
    }
    let mut found = Vec::new();
    for (parent, edges) in levels {
        let nodes: BTreeSet<&String> = edges.keys().flat_map(|(from, to)| [from, to]).collect();
        let mut done: BTreeSet<&String> = BTreeSet::new();
        for node in &nodes {
            if done.contains(*node) {
                continue;
            }
            let forth = reachable(
                node,
                |from, to| edges.contains_key(&(from.clone(), to.clone())),
                &nodes,
            );
            let back = reachable(
                node,
                |from, to| edges.contains_key(&(to.clone(), from.clone())),
                &nodes,
            );
            let modules: Vec<String> = forth
                .intersection(&back)
                .map(|name| (*name).clone())
                .collect();
            if modules.len() > 1 {
                done.extend(forth.intersection(&back));
                let within = |name: &String| modules.contains(name);
                let examples = edges
                    .iter()
                    .filter(|((from, to), _)| within(from) && within(to))
                    .map(|(_, example)| example.clone())
                    .collect();
                found.push(Cycle {
                    parent: parent.clone(),
                    modules,
                    examples,
                });
            }
        }
    }
    found
}

fn reachable<'a>(
    start: &'a String,
    edge: impl Fn(&String, &String) -> bool,
    nodes: &BTreeSet<&'a String>,
) -> BTreeSet<&'a String> {
    let mut seen = BTreeSet::from([start]);
    let mut open = vec![start];
    while let Some(from) = open.pop() {
        for to in nodes {
            if edge(from, to) && seen.insert(to) {
                open.push(to);
            }
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The cycles of a crate of inline modules, as `parent: modules`.
    fn of(source: &str) -> Vec<String> {
        let mut modules = BTreeMap::new();
        let tokens = TokenStream::from_str(source).unwrap();
        read_items(tokens, Path::new(""), Vec::new(), &mut modules).unwrap();
        find(&modules)
            .into_iter()
            .map(|cycle| format!("{}: {}", cycle.parent.join("::"), cycle.modules.join(" ")))
            .collect()
    }

    #[test]
    fn a_use_in_each_direction_is_a_cycle() {
        let source = "mod a { use super::b::B; struct A; } mod b { use crate::a::A; struct B; }";
        assert_eq!(of(source), [": a b"]);
    }

    #[test]
    fn one_direction_is_no_cycle() {
        let source =
            "mod a { struct A; } mod b { use crate::a::A; } mod c { use super::{a::A, b}; }";
        assert_eq!(of(source), [""; 0]);
    }

    #[test]
    fn a_path_in_an_expression_or_a_macro_counts() {
        let source = "mod a { fn f() { format!(\"{}\", crate::b::f()) } }
                      mod b { fn f() { super::a::f() } }";
        assert_eq!(of(source), [": a b"]);
    }

    #[test]
    fn re_exports_are_followed_to_the_definition() {
        let source = "pub use a::A; mod a { use crate::b::B; pub struct A; }
                      mod b { use crate::A; pub struct B; }";
        assert_eq!(of(source), [": a b"]);
    }

    #[test]
    fn a_cycle_over_three_modules_below_a_parent_is_found() {
        let source = "mod p { mod a { use super::b::f; } mod b { use super::c::f; }
                      mod c { use super::a::f; } mod d { use super::a::f; } }";
        assert_eq!(of(source), ["p: a b c"]);
    }

    #[test]
    fn parents_may_use_their_children_and_tests_do_not_count() {
        let source = "use a::A; struct Root; mod a { use super::Root; struct A;
                      #[cfg(test)] mod tests { use crate::b::B; } } mod b { use crate::a::A; }";
        assert_eq!(of(source), [""; 0]);
    }
}
