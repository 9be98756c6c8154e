//! What an eviction will do to a consumer group, before it is done.
//!
//! | module | holds |
//! |---|---|
//! | [`attribution`] | what each pod's load is made of |

pub mod attribution;
