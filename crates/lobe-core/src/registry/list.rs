//! Lists of what there is, to which a program can add its own.

use std::sync::OnceLock;

use super::{About, Entry};

/// Something that stands in a [`List`].
pub trait Listed {
    /// The word for it in recipes; no two in a list have the same.
    fn name(&self) -> &'static str;
}

impl<T: ?Sized> Listed for Entry<T> {
    fn name(&self) -> &'static str {
        self.about.name
    }
}

impl Listed for About {
    fn name(&self) -> &'static str {
        self.name
    }
}

/// A name that was to be added to a list that has it already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is in the list already; give yours another name")]
pub struct Taken(pub &'static str);

/// What is built in, in the order it is listed, and behind it what the program has added.
///
/// ```
/// use lobe_core::registry::{About, List};
///
/// const fn about(name: &'static str) -> About {
///     About { name, summary: "", reference: "", unusual: "", fails: "" }
/// }
///
/// static MEASURES: List<About> = List::new(&[about("loss"), about("accuracy")]);
/// static MINE: About = about("surprise");
///
/// MEASURES.add(&MINE)?;
/// assert_eq!(MEASURES.names().collect::<Vec<_>>(), ["loss", "accuracy", "surprise"]);
/// assert!(MEASURES.add(&MINE).is_err());
/// # Ok::<(), lobe_core::registry::Taken>(())
/// ```
pub struct List<T: 'static> {
    built_in: &'static [T],
    added: Link<T>,
}

/// Set once and never changed: a list can be read while others add to it, without a lock.
type Link<T> = OnceLock<Box<Node<T>>>;

struct Node<T: 'static> {
    entry: &'static T,
    next: Link<T>,
}

impl<T: Listed> List<T> {
    /// A list of what is built in.
    pub const fn new(built_in: &'static [T]) -> List<T> {
        List { built_in, added: OnceLock::new() }
    }

    /// Adds an entry to the end. A program does so before it uses the list for the first time; later uses see
    /// it, but what was made of the list before does not.
    ///
    /// # Errors
    /// If the list has one of this name.
    pub fn add(&self, entry: &'static T) -> Result<(), Taken> {
        let taken = Taken(entry.name());
        if self.built_in.iter().any(|e| e.name() == entry.name()) {
            return Err(taken);
        }
        let mut link = &self.added;
        loop {
            let mut mine = false;
            let node = link.get_or_init(|| {
                mine = true;
                Box::new(Node { entry, next: OnceLock::new() })
            });
            if mine {
                return Ok(());
            }
            if node.entry.name() == entry.name() {
                return Err(taken);
            }
            link = &node.next;
        }
    }

    /// The entry called `name`.
    pub fn find(&self, name: &str) -> Option<&'static T> {
        self.iter().find(|e| e.name() == name)
    }

    /// All names, in order.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + Clone + '_ {
        self.iter().map(Listed::name)
    }
}

impl<T> List<T> {
    /// All entries, in order.
    pub fn iter(&self) -> Iter<'_, T> {
        Iter { built_in: self.built_in.iter(), next: &self.added }
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
}

impl<'a, T> IntoIterator for &'a List<T> {
    type Item = &'static T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

/// The entries of a [`List`].
pub struct Iter<'a, T: 'static> {
    built_in: std::slice::Iter<'static, T>,
    next: &'a Link<T>,
}

impl<T> Clone for Iter<'_, T> {
    fn clone(&self) -> Self {
        Iter { built_in: self.built_in.clone(), next: self.next }
    }
}

impl<T> Iterator for Iter<'_, T> {
    type Item = &'static T;

    fn next(&mut self) -> Option<&'static T> {
        if let Some(entry) = self.built_in.next() {
            return Some(entry);
        }
        let node = self.next.get()?;
        self.next = &node.next;
        Some(node.entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn about(name: &'static str) -> About {
        About { name, summary: "", reference: "", unusual: "", fails: "" }
    }

    #[test]
    fn what_is_added_comes_behind_what_is_built_in_and_no_name_stands_twice() {
        static LIST: List<About> = List::new(&[about("a"), about("b")]);
        static C: About = about("c");
        static D: About = about("d");
        static B: About = about("b");
        assert_eq!((LIST.len(), LIST.is_empty()), (2, false));
        assert_eq!(LIST.add(&B), Err(Taken("b")));
        LIST.add(&D).unwrap();
        LIST.add(&C).unwrap();
        assert_eq!(LIST.add(&D), Err(Taken("d")));
        assert_eq!(LIST.names().collect::<Vec<_>>(), ["a", "b", "d", "c"]);
        assert!(LIST.find("c").is_some_and(|e| std::ptr::eq(e, &raw const C)) && LIST.find("e").is_none());
        assert_eq!(Taken("b").to_string(), "\"b\" is in the list already; give yours another name");
    }

    #[test]
    fn of_several_who_add_a_name_at_a_time_one_does() {
        static LIST: List<About> = List::new(&[]);
        let added: usize = std::thread::scope(|scope| {
            let one = || {
                let names = ["x", "y", "z"].map(|n| &*Box::leak(Box::new(about(n))));
                scope.spawn(move || names.into_iter().filter(|a| LIST.add(a).is_ok()).count())
            };
            let all: Vec<_> = (0..4).map(|_| one()).collect();
            all.into_iter().map(|t| t.join().unwrap()).sum()
        });
        let mut names: Vec<&str> = LIST.names().collect();
        names.sort_unstable();
        assert_eq!((added, names), (3, vec!["x", "y", "z"]));
    }
}
