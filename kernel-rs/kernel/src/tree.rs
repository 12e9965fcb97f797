// SPDX-License-Identifier: PMPL-1.0-or-later
//! A balanced tree (AVL) of objects by key, linked through the objects, so that putting one in needs no memory: its
//! height is at most 1.44 times that of a perfect tree, so every operation takes a bounded number of steps.
//!
//! Objects of the same key stand in the order in which they came.

use machine::memory::{Ref, Store};

/// An object's place in a tree; all empty while it is in none.
pub struct Links<T> {
    parent: Option<Ref<T>>,
    left: Option<Ref<T>>,
    right: Option<Ref<T>>,
    /// 0 = in no tree; a leaf has 1.
    height: u8,
}

impl<T> Default for Links<T> {
    fn default() -> Self {
        Links { parent: None, left: None, right: None, height: 0 }
    }
}

impl<T> Links<T> {
    pub fn is_linked(&self) -> bool {
        self.height > 0
    }
}

/// What stands in a tree. The key must not change meanwhile, but to a value between its neighbours' keys.
pub trait Node: Sized {
    fn links(&self) -> &Links<Self>;
    fn links_mut(&mut self) -> &mut Links<Self>;
    fn key(&self) -> u64;
}

pub struct Tree<T> {
    root: Option<Ref<T>>,
}

impl<T> Default for Tree<T> {
    fn default() -> Self {
        Tree { root: None }
    }
}

impl<T: Node> Tree<T> {
    pub const fn new() -> Tree<T> {
        Tree { root: None }
    }

    /// Any object of it.
    pub fn any(&self) -> Option<Ref<T>> {
        self.root
    }

    /// The object of the lowest key.
    pub fn first(&self, store: &Store<T>) -> Option<Ref<T>> {
        let mut at = self.root?;
        while let Some(left) = store.get(at)?.links().left {
            at = left;
        }
        Some(at)
    }

    /// The last object whose key is not above `key`, and the first whose key is.
    pub fn around(&self, store: &Store<T>, key: u64) -> (Option<Ref<T>>, Option<Ref<T>>) {
        let (mut at, mut before, mut after) = (self.root, None, None);
        while let Some(here) = at
            && let Some(node) = store.get(here)
        {
            if node.key() <= key {
                (before, at) = (at, node.links().right);
            } else {
                (after, at) = (at, node.links().left);
            }
        }
        (before, after)
    }

    /// Puts an object in, behind those of the same key.
    pub fn insert(&mut self, store: &mut Store<T>, new: Ref<T>) {
        let Some(key) = store.get(new).map(T::key) else { return };
        let (mut at, mut parent, mut left) = (self.root, None, false);
        while let Some(here) = at
            && let Some(node) = store.get(here)
        {
            left = key < node.key();
            (parent, at) = (Some(here), if left { node.links().left } else { node.links().right });
        }
        if let Some(node) = store.get_mut(new) {
            *node.links_mut() = Links { parent, left: None, right: None, height: 1 };
        }
        match parent.and_then(|p| store.get_mut(p)) {
            None => self.root = Some(new),
            Some(p) if left => p.links_mut().left = Some(new),
            Some(p) => p.links_mut().right = Some(new),
        }
        self.rebalance(store, parent);
    }

    /// Takes an object out, if it is in.
    pub fn remove(&mut self, store: &mut Store<T>, old: Ref<T>) {
        let Some(links) = store.get_mut(old).map(|n| core::mem::take(n.links_mut())) else { return };
        if !links.is_linked() {
            return;
        }
        let Links { parent, left, right, height } = links;
        let (Some(_), Some(below)) = (left, right) else {
            let child = left.or(right);
            self.replace(store, parent, old, child);
            return self.rebalance(store, parent);
        };
        // The next in order takes its place.
        let mut next = below;
        while let Some(left) = store.get(next).and_then(|n| n.links().left) {
            next = left;
        }
        let (mut from, next_right) = store.get(next).map_or((None, None), |n| (n.links().parent, n.links().right));
        if from == Some(old) {
            from = Some(next);
        } else {
            self.replace(store, from, next, next_right);
            if let Some(n) = store.get_mut(next) {
                n.links_mut().right = right;
            }
            set_parent(store, right, Some(next));
        }
        if let Some(n) = store.get_mut(next) {
            (n.links_mut().left, n.links_mut().height) = (left, height);
        }
        set_parent(store, left, Some(next));
        self.replace(store, parent, old, Some(next));
        self.rebalance(store, from);
    }

    /// Makes `new` the child of `parent` that `old` was.
    fn replace(&mut self, store: &mut Store<T>, parent: Option<Ref<T>>, old: Ref<T>, new: Option<Ref<T>>) {
        match parent.and_then(|p| store.get_mut(p)).map(T::links_mut) {
            None => self.root = new,
            Some(links) if links.left == Some(old) => links.left = new,
            Some(links) => links.right = new,
        }
        set_parent(store, new, parent);
    }

    /// Sets heights right from a node up to the root, turning where one side is two higher than the other.
    fn rebalance(&mut self, store: &mut Store<T>, mut at: Option<Ref<T>>) {
        while let Some(here) = at {
            let Some(links) = store.get(here).map(T::links) else { return };
            let (left, right, before) = (links.left, links.right, links.height);
            let (l, r) = (height(store, left), height(store, right));
            let mut top = here;
            if l > r + 1 {
                if let Some(left) = left
                    && leans(store, left) < 0
                {
                    self.turn(store, left, true);
                }
                top = self.turn(store, here, false);
            } else if r > l + 1 {
                if let Some(right) = right
                    && leans(store, right) > 0
                {
                    self.turn(store, right, false);
                }
                top = self.turn(store, here, true);
            } else {
                let height = 1 + l.max(r);
                if height == before {
                    return;
                }
                if let Some(n) = store.get_mut(here) {
                    n.links_mut().height = height;
                }
            }
            let Some(links) = store.get(top).map(T::links) else { return };
            if top == here && links.height == before {
                return;
            }
            at = links.parent;
        }
    }

    /// Turns a node down to the left, or to the right; its child takes its place and is returned.
    fn turn(&mut self, store: &mut Store<T>, down: Ref<T>, to_left: bool) -> Ref<T> {
        let Some(links) = store.get(down).map(T::links) else { return down };
        let (parent, child) = (links.parent, if to_left { links.right } else { links.left });
        let Some(up) = child else { return down };
        let inner = store.get(up).and_then(|n| if to_left { n.links().left } else { n.links().right });
        if let Some(links) = store.get_mut(down).map(T::links_mut) {
            *(if to_left { &mut links.right } else { &mut links.left }) = inner;
        }
        set_parent(store, inner, Some(down));
        self.replace(store, parent, down, Some(up));
        if let Some(links) = store.get_mut(up).map(T::links_mut) {
            *(if to_left { &mut links.left } else { &mut links.right }) = Some(down);
        }
        set_parent(store, Some(down), Some(up));
        set_height(store, down);
        set_height(store, up);
        up
    }
}

fn height<T: Node>(store: &Store<T>, node: Option<Ref<T>>) -> u8 {
    node.and_then(|n| store.get(n)).map_or(0, |n| n.links().height)
}

/// How much higher the left side is.
fn leans<T: Node>(store: &Store<T>, node: Ref<T>) -> i16 {
    let (left, right) = store.get(node).map_or((None, None), |n| (n.links().left, n.links().right));
    height(store, left) as i16 - height(store, right) as i16
}

fn set_height<T: Node>(store: &mut Store<T>, node: Ref<T>) {
    let Some((left, right)) = store.get(node).map(|n| (n.links().left, n.links().right)) else { return };
    let height = 1 + height(store, left).max(height(store, right));
    if let Some(n) = store.get_mut(node) {
        n.links_mut().height = height;
    }
}

fn set_parent<T: Node>(store: &mut Store<T>, node: Option<Ref<T>>, parent: Option<Ref<T>>) {
    if let Some(n) = node.and_then(|n| store.get_mut(n)) {
        n.links_mut().parent = parent;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use machine::memory::Slabs;
    use std::collections::BTreeSet;

    struct Number(u64, Links<Number>);

    impl Node for Number {
        fn links(&self) -> &Links<Number> {
            &self.1
        }
        fn links_mut(&mut self) -> &mut Links<Number> {
            &mut self.1
        }
        fn key(&self) -> u64 {
            self.0
        }
    }

    /// Numbers below a node in order, and its height; checks links and balance.
    fn check(store: &Store<Number>, at: Option<Ref<Number>>, parent: Option<Ref<Number>>, all: &mut Vec<u64>) -> u8 {
        let Some(node) = at.and_then(|n| store.get(n)) else { return 0 };
        assert!(node.1.parent == parent);
        let left = check(store, node.1.left, at, all);
        all.push(node.0);
        let right = check(store, node.1.right, at, all);
        assert!(left.abs_diff(right) <= 1);
        assert_eq!(node.1.height, 1 + left.max(right));
        node.1.height
    }

    #[test]
    fn the_tree_holds_what_a_plain_set_holds_and_stays_balanced() {
        let mut frames = machine::test_frames(200);
        let (mut store, mut slabs, mut tree) = (Store::new(&mut frames), Slabs::default(), Tree::new());
        let (mut set, mut refs) = (BTreeSet::new(), std::collections::HashMap::new());
        let mut random = 4_101_842_887_655_102_017u64;
        for step in 0..4000 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            // Ascending at first: what makes a plain tree a list.
            let n = if step < 300 { step } else { random % 1000 };
            if set.insert(n) {
                let r = store.create(&mut frames, &mut slabs, Number(n, Links::default())).unwrap();
                tree.insert(&mut store, r);
                refs.insert(n, r);
            } else {
                set.remove(&n);
                let r = refs.remove(&n).unwrap();
                tree.remove(&mut store, r);
                store.remove(&mut frames, &mut slabs, r).unwrap();
            }
            let mut all = Vec::new();
            check(&store, tree.root, None, &mut all);
            assert!(all.iter().eq(set.iter()));
            let key = (random >> 32) % 1000;
            let value = |r: Option<Ref<Number>>| r.and_then(|r| store.get(r)).map(|n| n.0);
            let (before, after) = tree.around(&store, key);
            assert_eq!(value(before), set.range(..=key).next_back().copied());
            assert_eq!(value(after), set.range(key + 1..).next().copied());
            assert_eq!(value(tree.first(&store)), set.first().copied());
        }
    }
}
