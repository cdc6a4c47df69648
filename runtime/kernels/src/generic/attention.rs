use super::{lanes, vector};
use crate::attention::FEW_QUERIES;
use crate::math::fma;
use crate::part::Part;
use crate::table::Head;

/// One head of an attention, one query at a time. Few queries and many are added up in different orders, as vector kernels do.
pub fn head(head: &Head, scratch: &mut [f32]) {
    let [q_column, k_column, v_column, y_column] = head.columns;
    let few = head.q.rows() <= FEW_QUERIES;
    for query in 0..head.q.rows() {
        let q = head.q.segment(query, q_column..q_column + head.dim);
        let logits = scratch.part_mut(..head.visible(query));
        for (key, logit) in logits.iter_mut().enumerate() {
            let k = head.k.segment(key, k_column..k_column + head.dim);
            *logit = if few { lanes::dot(q, k) } else { q.iter().zip(k).fold(0.0, |sum, (q, k)| fma(*q, *k, sum)) };
        }
        if let Some(log_sizes) = head.log_sizes {
            logits.iter_mut().zip(log_sizes).for_each(|(logit, size)| *logit += size);
        }
        let sum = vector::exp_from_largest(logits);
        // SAFETY: nobody else writes the columns of a head.
        let y = unsafe { head.y.segment(query, y_column..y_column + head.dim) };
        y.fill(0.0);
        for (key, logit) in logits.iter().enumerate() {
            let share = if few { logit / sum } else { *logit };
            vector::scaled_add(y, share, head.v.segment(key, v_column..v_column + head.dim));
        }
        if !few {
            let factor = 1.0 / sum;
            y.iter_mut().for_each(|y| *y *= factor);
        }
    }
}
