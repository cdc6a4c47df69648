use core::cmp::Ordering;

use edgelip_kernels::Part;

use crate::plan::Merge;

/// Marks a source that stays, and the end of a list.
const NONE: i32 = -1;

/// Which tokens stay, and which ones join them. Sources are the even positions, targets the odd ones; of both lists count.
pub(super) struct Groups<'s> {
    pub count: usize,
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
        let order = &mut self.staying[..sources - 1];
        order.iter_mut().zip(1..).for_each(|(slot, source)| *slot = source);
        // Adding zero makes both zeros equal in the total order, which numbers that are none have a place in.
        let score = |source: i32| best[source as usize] + 0.0;
        let before = |a: &i32, b: &i32| -> Ordering { score(*b).total_cmp(&score(*a)).then(a.cmp(b)) };
        if r < order.len() {
            order.select_nth_unstable_by(r, before);
        }
        for &source in order.iter().skip(r) {
            self.partner[source as usize] = NONE;
        }
        self.partner[0] = NONE;
        self.first.fill(NONE);
        for source in (1..sources).rev() {
            if let Ok(target) = usize::try_from(self.partner[source]) {
                self.next[source] = self.first[target];
                self.first[target] = source as i32;
            }
        }
        let in_order = |index: usize| match rule {
            Merge::Tome if index < sources => 2 * index,
            Merge::Tome => 2 * (index - sources) + 1,
            Merge::Ward | Merge::None => index,
        };
        let stays = |position: &usize| position % 2 == 1 || self.partner[position / 2] == NONE;
        for (slot, position) in self.staying.iter_mut().zip((0..self.count).map(in_order).filter(stays)) {
            *slot = position as i32;
        }
    }

    /// Old position of the token that is `index` in the new order.
    pub(super) fn position(&self, index: usize) -> usize {
        self.staying[index] as usize
    }

    /// Positions of the tokens that join the one at `position`, ascending.
    pub(super) fn members(&self, position: usize) -> impl Iterator<Item = usize> {
        let first = if position.is_multiple_of(2) { NONE } else { self.first[position / 2] };
        let source = |index: i32| usize::try_from(index).ok();
        core::iter::successors(source(first), move |&previous| source(self.next[previous])).map(|source| 2 * source)
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
