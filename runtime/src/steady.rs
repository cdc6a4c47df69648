//! Labels that don't flicker from one frame of a camera to the next.

use crate::Error;
use crate::vision::expect;

/// Smooths scores over frames, and keeps a label until another is clearly better for a while.
///
/// ```
/// use edgelip_runtime::steady::Steady;
/// let mut steady = Steady::new(0.5, 0.1, 2);
/// let mut smooth = [0.0; 2];
/// assert_eq!(steady.update(&[0.9, 0.1], &mut smooth), Ok(Some(0)));
/// assert_eq!(steady.update(&[0.1, 0.9], &mut smooth), Ok(Some(0)));
/// assert_eq!(steady.update(&[0.1, 0.9], &mut smooth), Ok(Some(0)));
/// assert_eq!(steady.update(&[0.1, 0.9], &mut smooth), Ok(Some(1)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Steady {
    /// A new frame's share in the smoothed scores, over 0 up to 1: at 1 nothing is smoothed.
    pub share: f32,
    /// How much more than the kept label's another label's smoothed score must be.
    pub margin: f32,
    /// For how many frames in a row it must be.
    pub frames: u32,
    kept: Option<usize>,
    challenger: Option<(usize, u32)>,
}

impl Default for Steady {
    /// Neither smooths nor holds: each frame's best label.
    fn default() -> Self {
        Self::new(1.0, 0.0, 1)
    }
}

impl Steady {
    /// With these settings, before the first frame.
    pub fn new(share: f32, margin: f32, frames: u32) -> Self {
        Steady { share, margin, frames, kept: None, challenger: None }
    }

    /// Takes a frame's scores `[labels]` into `smooth` `[labels]`, which the first frame fills and which is the caller's to keep.
    /// The label that is now kept; `None` without labels.
    ///
    /// # Errors
    /// [`Error::Length`] if the slices differ in length.
    pub fn update(&mut self, scores: &[f32], smooth: &mut [f32]) -> Result<Option<usize>, Error> {
        expect("smoothed scores", smooth.len(), scores.len())?;
        let share = if self.kept.is_some() { self.share } else { 1.0 };
        for (smooth, score) in smooth.iter_mut().zip(scores) {
            *smooth = if share < 1.0 { *smooth + share * (score - *smooth) } else { *score };
        }
        let better = |best: usize, index: usize| if smooth[index] > smooth[best] { index } else { best };
        let Some(best) = (0..smooth.len()).reduce(better) else { return Ok(None) };
        let kept = *self.kept.get_or_insert(best);
        let behind = smooth.get(kept).is_none_or(|kept| smooth[best] - kept >= self.margin);
        self.challenger = match self.challenger {
            _ if best == kept || !behind => None,
            Some((challenger, frames)) if challenger == best => Some((best, frames.saturating_add(1))),
            _ => Some((best, 1)),
        };
        if let Some((_, frames)) = self.challenger
            && frames >= self.frames
        {
            (self.kept, self.challenger) = (Some(best), None);
        }
        Ok(self.kept)
    }

    /// Forgets all frames, for another scene or other labels.
    pub fn reset(&mut self) {
        (self.kept, self.challenger) = (None, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(steady: &mut Steady, frames: &[[f32; 3]]) -> [usize; 8] {
        let (mut smooth, mut kept) = ([f32::NAN; 3], [usize::MAX; 8]);
        for (kept, frame) in kept.iter_mut().zip(frames) {
            *kept = steady.update(frame, &mut smooth).unwrap().unwrap();
        }
        kept
    }

    const CAT: [f32; 3] = [0.5, 0.4, 0.1];
    const DOG: [f32; 3] = [0.4, 0.5, 0.1];
    const COW: [f32; 3] = [0.1, 0.3, 0.6];

    #[test]
    fn by_default_each_frame_counts_alone() {
        let kept = kept(&mut Steady::default(), &[CAT, DOG, CAT, COW, DOG, [0.5; 3], COW, [0.2, 0.2, 0.0]]);
        assert_eq!(kept, [0, 1, 0, 2, 1, 0, 2, 0]);
    }

    #[test]
    fn close_labels_do_not_take_turns() {
        let mut steady = Steady { margin: 0.15, frames: 1, ..Steady::default() };
        assert_eq!(kept(&mut steady, &[CAT, DOG, CAT, DOG, COW, CAT, COW, DOG]), [0, 0, 0, 0, 2, 0, 2, 1]);
    }

    #[test]
    fn another_label_must_be_better_for_some_frames_in_a_row() {
        let mut steady = Steady { margin: 0.05, frames: 3, ..Steady::default() };
        assert_eq!(kept(&mut steady, &[CAT, COW, COW, CAT, COW, COW, COW, CAT]), [0, 0, 0, 0, 0, 0, 2, 2]);
        steady.reset();
        // Two challengers in turn are none.
        assert_eq!(kept(&mut steady, &[CAT, COW, DOG, COW, DOG, DOG, DOG, DOG]), [0, 0, 0, 0, 0, 0, 1, 1]);
    }

    #[test]
    fn scores_follow_slowly() {
        let mut steady = Steady { share: 0.25, ..Steady::default() };
        let mut smooth = [f32::NAN; 2];
        steady.update(&[1.0, 0.0], &mut smooth).unwrap();
        assert_eq!(smooth, [1.0, 0.0]);
        steady.update(&[0.0, 1.0], &mut smooth).unwrap();
        assert_eq!(smooth, [0.75, 0.25]);
        assert!(steady.update(&[0.0; 3], &mut smooth).is_err());
        assert_eq!(Steady::default().update(&[], &mut []), Ok(None));
    }
}
