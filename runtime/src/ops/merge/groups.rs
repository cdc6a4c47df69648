use edgelip_kernels::Part;

use crate::plan::Merge;

/// Marks a source that stays, and the end of a list.
const NONE: i32 = -1;

/// Which tokens stay, and which ones join them. Sources are the even positions, targets the odd ones; of both lists count.
pub(super) struct Groups<'s> {
    pub count: usize,
    /// How many sources come first that never merge: the class token, if there is one.
    pub class: usize,
    /// Target of each source, [`NONE`] for those that stay.
    pub partner: &'s mut [i32],
    /// Positions of the tokens that stay, in their new order; before, the sources in any order.
    pub staying: &'s mut [i32],
    /// First source of each target.
    pub first: &'s mut [i32],
    /// The source after each source that joins the same target.
    pub next: &'s mut [i32],
}

impl Groups<'_> {
    /// Lets the `r` best sources join their partners and the others stay; of equal ones the first join.
    pub(super) fn choose(&mut self, best: &[f32], r: usize, rule: Merge) {
        let sources = self.count.div_ceil(2);
        let scores = best.part(self.class..sources);
        let lowest = lowest_of_best(scores, r);
        let mut left = r - scores.iter().filter(|score| rank(**score) > lowest).count();
        self.partner.part_mut(..self.class).fill(NONE);
        for (partner, score) in self.partner.part_mut(self.class..sources).iter_mut().zip(scores) {
            let (rank, equal_to_last) = (rank(*score), left > 0);
            if rank < lowest || (rank == lowest && !equal_to_last) {
                *partner = NONE;
            }
            left -= usize::from(rank == lowest && equal_to_last);
        }
        self.first.fill(NONE);
        for source in (self.class..sources).rev() {
            if let Ok(target) = usize::try_from(self.partner.at(source)) {
                self.next.put(source, self.first.at(target));
                self.first.put(target, source as i32);
            }
        }
        let in_order = |index: usize| match rule {
            Merge::Tome if index < sources => 2 * index,
            Merge::Tome => 2 * (index - sources) + 1,
            Merge::Ward | Merge::None => index,
        };
        let stays = |position: &usize| position % 2 == 1 || self.partner.at(position / 2) == NONE;
        for (slot, position) in self.staying.iter_mut().zip((0..self.count).map(in_order).filter(stays)) {
            *slot = position as i32;
        }
    }

    /// Old position of the token that is `index` in the new order.
    pub(super) fn position(&self, index: usize) -> usize {
        self.staying.at(index) as usize
    }

    /// Positions of the tokens that join the one at `position`, ascending.
    pub(super) fn members(&self, position: usize) -> impl Iterator<Item = usize> {
        let first = if position.is_multiple_of(2) { NONE } else { self.first.at(position / 2) };
        let source = |index: i32| usize::try_from(index).ok();
        core::iter::successors(source(first), move |&previous| source(self.next.at(previous))).map(|source| 2 * source)
    }

    /// Turns the old position of each patch's token into its new one, of which there are `left`. `places` has room for all old ones.
    pub(super) fn follow(&self, left: usize, places: &mut [i32], patches: &mut [u16]) {
        for index in 0..left {
            let position = self.position(index);
            places.put(position, index as i32);
            self.members(position).for_each(|member| places.put(member, index as i32));
        }
        patches.iter_mut().for_each(|token| *token = places.at(usize::from(*token)) as u16);
    }
}

/// A number that is the higher the higher the score. Both zeros have the same, and numbers that are none have a place too.
pub(super) fn rank(score: f32) -> u32 {
    let bits = (score + 0.0).to_bits();
    bits ^ ((bits.cast_signed() >> 31).cast_unsigned() | 1 << 31)
}

/// The lowest rank among the `r` best scores: the highest that at least so many have, found bit by bit.
pub(super) fn lowest_of_best(scores: &[f32], r: usize) -> u32 {
    (0..32).rev().map(|bit| 1 << bit).fold(0, |lowest, bit| {
        // Numbers as wide as the scores are counted in vectors.
        let count: u32 = scores.iter().map(|score| u32::from(rank(*score) >= lowest | bit)).sum();
        if count as usize >= r { lowest | bit } else { lowest }
    })
}
