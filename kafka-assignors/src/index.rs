//! Typed indices of members, topics and partitions.

use std::ops::{Index, IndexMut};

macro_rules! index {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(usize);

        impl $name {
            /// Wraps a plain index.
            #[must_use]
            pub const fn new(index: usize) -> Self {
                Self(index)
            }

            /// The plain index.
            #[must_use]
            pub const fn get(self) -> usize {
                self.0
            }

            /// Returns the indices of a list with `count` elements, ascending.
            #[must_use]
            pub fn all(
                count: usize,
            ) -> impl DoubleEndedIterator<Item = Self> + ExactSizeIterator + Clone {
                (0..count).map(Self)
            }
        }

        impl From<$name> for usize {
            fn from(index: $name) -> Self {
                index.0
            }
        }

        impl<T> Index<$name> for [T] {
            type Output = T;

            fn index(&self, index: $name) -> &T {
                &self[index.0]
            }
        }

        impl<T> IndexMut<$name> for [T] {
            fn index_mut(&mut self, index: $name) -> &mut T {
                &mut self[index.0]
            }
        }

        impl<T> Index<$name> for Vec<T> {
            type Output = T;

            fn index(&self, index: $name) -> &T {
                &self[index.0]
            }
        }

        impl<T> IndexMut<$name> for Vec<T> {
            fn index_mut(&mut self, index: $name) -> &mut T {
                &mut self[index.0]
            }
        }
    };
}

index! {
    /// Index of a member in the list of members.
    MemberIndex
}
index! {
    /// Index of a topic in [`Topics`](crate::Topics).
    TopicIndex
}
index! {
    /// Index of a partition among the partitions of all topics, see [`Topics`](crate::Topics).
    /// This is not the partition number within its topic.
    PartitionIndex
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_accept_typed_indices() {
        let mut list: Vec<char> = "abc".chars().collect();
        list[MemberIndex::new(1)] = 'd';
        assert_eq!(list[TopicIndex::new(1)], 'd');
        assert_eq!(list[..2][PartitionIndex::new(0)], 'a');
        let all: Vec<usize> = MemberIndex::all(3).map(MemberIndex::get).collect();
        assert_eq!(all, [0, 1, 2]);
    }
}
