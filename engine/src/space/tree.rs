//! The search space: its leaves, which of them exist at a point, and whether a point is valid.

use super::codes;
use super::constraint::LinearConstraint;
use super::domain::Domain;
use super::forbidden::Forbidden;
use crate::error::SpecError;
use crate::value::{Point, Value};

/// The parameters of an experiment and the constraints between them.
///
/// Two spaces are equal if they mean the same: the form in which they were written does not matter.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchSpace {
    pub(super) leaves: Vec<Leaf>,
    pub(super) constraints: Vec<LinearConstraint>,
    pub(super) forbidden: Vec<Forbidden>,
    /// Leaves without a parent.
    pub(super) roots: Vec<u16>,
    /// By leaf: its children.
    pub(super) children: Vec<Vec<u16>>,
    /// By leaf: how many ways there are to fill it and everything below it; none if infinitely many.
    pub(super) sizes: Vec<Option<u64>>,
}

/// One parameter.
#[derive(Debug, Clone, PartialEq)]
pub struct Leaf {
    /// The dotted path: `lr` at the top, `model.alpha` under the choice `model`. Children of different options
    /// may have one name and different domains: then there are several leaves of that name, and at most one of
    /// them exists at a point.
    pub name: String,
    /// Its values.
    pub domain: Domain,
    /// When it exists; always, if none.
    pub parent: Option<Parent>,
    /// The options of a choice that are written as `{"_name": ...}` and not as plain values; ascending.
    pub nested: Vec<u32>,
}

/// When a nested parameter exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parent {
    /// The choice above; its index is smaller.
    pub leaf: u16,
    /// The options of it under which the parameter exists; ascending.
    pub options: Vec<u32>,
}

impl Leaf {
    /// The last segment of the name.
    pub fn key(&self) -> &str {
        self.name.rsplit_once('.').map_or(self.name.as_str(), |(_, key)| key)
    }

    /// Whether this option of a choice is written as `{"_name": ...}`.
    pub fn is_nested(&self, option: u32) -> bool {
        self.nested.binary_search(&option).is_ok()
    }
}

impl SearchSpace {
    pub(super) fn assemble(leaves: Vec<Leaf>) -> Self {
        let mut roots = Vec::new();
        let mut children = vec![Vec::new(); leaves.len()];
        for (index, leaf) in (0u16..).zip(&leaves) {
            match &leaf.parent {
                None => roots.push(index),
                Some(parent) => {
                    if let Some(list) = children.get_mut(usize::from(parent.leaf)) {
                        list.push(index);
                    }
                }
            }
        }
        let mut space = Self {
            leaves,
            constraints: Vec::new(),
            forbidden: Vec::new(),
            roots,
            children,
            sizes: Vec::new(),
        };
        space.measure();
        space
    }

    /// The parameters, every parent before its children. A leaf's index is its place here.
    pub fn leaves(&self) -> &[Leaf] {
        &self.leaves
    }

    /// The leaf at an index.
    pub fn leaf(&self, index: u16) -> Option<&Leaf> {
        self.leaves.get(usize::from(index))
    }

    /// The indices of the leaves with a dotted name; more than one where options of a choice give different
    /// domains to one name.
    pub fn find(&self, name: &str) -> impl Iterator<Item = u16> {
        (0u16..).zip(&self.leaves).filter(move |(_, leaf)| leaf.name == name).map(|(index, _)| index)
    }

    /// The linear constraints.
    pub fn constraints(&self) -> &[LinearConstraint] {
        &self.constraints
    }

    /// Whether there are points that may not be tried.
    pub fn is_constrained(&self) -> bool {
        !(self.constraints.is_empty() && self.forbidden.is_empty())
    }

    /// Whether there are parameters that exist at some points only.
    pub fn is_conditional(&self) -> bool {
        self.roots.len() < self.leaves.len()
    }

    /// Whether a leaf exists, given the values of the leaves before it.
    pub fn exists(&self, leaf: u16, point: &Point) -> bool {
        match self.leaf(leaf).map(|leaf| &leaf.parent) {
            None => false,
            Some(None) => true,
            Some(Some(parent)) => match point.get(parent.leaf) {
                Some(Value::Option(option)) => parent.options.binary_search(&option).is_ok(),
                _ => false,
            },
        }
    }

    /// The leaves that exist, given the values of their parents in the point; ascending. Other values are not
    /// needed: this is what a sampler fills.
    pub fn active(&self, point: &Point) -> Vec<u16> {
        let mut exists = vec![false; self.leaves.len()];
        let mut active = Vec::new();
        for (index, leaf) in (0u16..).zip(&self.leaves) {
            let here = match &leaf.parent {
                None => true,
                Some(parent) => {
                    exists.get(usize::from(parent.leaf)).copied().unwrap_or(false)
                        && matches!(point.get(parent.leaf),
                            Some(Value::Option(option)) if parent.options.binary_search(&option).is_ok())
                }
            };
            if here {
                if let Some(slot) = exists.get_mut(usize::from(index)) {
                    *slot = true;
                }
                active.push(index);
            }
        }
        active
    }

    /// Builds a point: asks for the value of every leaf that exists, parents first.
    pub fn build(&self, mut value: impl FnMut(u16, &Leaf) -> Value) -> Point {
        let mut point = Point::default();
        for (index, leaf) in (0u16..).zip(&self.leaves) {
            if self.exists(index, &point) {
                point.0.push((index, value(index, leaf)));
            }
        }
        point
    }

    /// The point at coordinates of the unit cube, one per leaf; those of absent leaves are not looked at, and
    /// missing ones are 0.5.
    pub fn point_from_unit(&self, cube: &[f64]) -> Point {
        self.build(|index, leaf| leaf.domain.from_unit(cube.get(usize::from(index)).copied().unwrap_or(0.5)))
    }

    /// The coordinates of a point, one per leaf: none for an absent leaf and for a value outside its domain.
    pub fn point_to_unit(&self, point: &Point) -> Vec<Option<f64>> {
        (0u16..)
            .zip(&self.leaves)
            .map(|(index, leaf)| point.get(index).and_then(|value| leaf.domain.to_unit(value)))
            .collect()
    }

    /// Whether a recorded point is complete and valid: exactly the leaves that exist, in order, each with a value
    /// of its domain, and all constraints hold.
    pub fn check(&self, point: &Point) -> Result<(), Vec<SpecError>> {
        let mut errors = Vec::new();
        if !point.0.is_sorted_by(|(a, _), (b, _)| a < b) {
            let message =
                "the values of the point are not in order of their parameters, or one is given twice";
            return Err(vec![SpecError::new(codes::BAD_POINT, "", message, "")]);
        }
        let active = self.active(point);
        for (index, value) in &point.0 {
            match self.leaf(*index) {
                None => {
                    let message = format!("the space has no parameter number {index}");
                    errors.push(SpecError::new(codes::UNKNOWN_PARAMETER, "", message, ""));
                }
                Some(leaf) if active.binary_search(index).is_err() => {
                    let message = format!("`{}` does not exist under the option taken", leaf.name);
                    errors.push(SpecError::new(codes::ABSENT_PARAMETER, &leaf.name, message, "leave it out"));
                }
                Some(leaf) => {
                    if let Err((code, message, cure)) = leaf.domain.check(*value) {
                        let message = format!("`{}`: {message}", leaf.name);
                        errors.push(SpecError::new(code, &leaf.name, message, cure));
                    }
                }
            }
        }
        for index in active {
            if let (None, Some(leaf)) = (point.get(index), self.leaf(index)) {
                let message = format!("`{}` has no value", leaf.name);
                errors.push(SpecError::new(codes::MISSING_PARAMETER, &leaf.name, message, "give it a value"));
            }
        }
        if errors.is_empty() {
            errors = self.broken(point);
        }
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    /// Whether all constraints hold. See [`LinearConstraint`] for absent parameters and rounding.
    pub fn feasible(&self, point: &Point) -> bool {
        self.constraints.iter().all(|constraint| constraint.holds(self, point))
            && !self.forbidden.iter().any(|forbidden| forbidden.matches(point))
    }

    /// One error for every constraint that the point breaks.
    pub(super) fn broken(&self, point: &Point) -> Vec<SpecError> {
        let sums = (0..).zip(&self.constraints).filter(|(_, constraint)| !constraint.holds(self, point)).map(
            |(index, constraint)| {
                let sum = constraint.sum(self, point).unwrap_or(0.0);
                let message = format!("the point breaks `{}`: the left side is {sum}", constraint.text(self));
                let path = format!("constraints[{index}]");
                SpecError::new(codes::CONSTRAINT_BROKEN, path, message, "choose values that fulfil it")
            },
        );
        let forbidden = (self.constraints.len()..)
            .zip(&self.forbidden)
            .filter(|(_, one)| one.matches(point))
            .map(|(index, one)| {
                let message = format!("the point is forbidden by {}", one.json(self));
                let path = format!("constraints[{index}]");
                SpecError::new(codes::CONSTRAINT_BROKEN, path, message, "choose another combination")
            });
        sums.chain(forbidden).collect()
    }
}
