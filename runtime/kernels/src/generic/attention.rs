use super::vector;
use crate::LANES;
use crate::table::Head;

/// One head of an attention, one query at a time.
pub fn head(head: &Head, scratch: &mut [f32]) {
    let [q_column, k_column, v_column, y_column] = head.columns;
    let logits = &mut scratch[..head.k.rows().next_multiple_of(LANES)];
    for query in 0..head.q.rows() {
        let q = &head.q.row(query)[q_column..][..head.dim];
        let logits = &mut logits[..head.visible(query)];
        for (key, logit) in logits.iter_mut().enumerate() {
            *logit = vector::dot(q, &head.k.row(key)[k_column..][..head.dim]);
            if let Some(log_sizes) = head.log_sizes {
                *logit += log_sizes[key];
            }
        }
        vector::softmax(logits);
        // SAFETY: nobody else writes the columns of a head.
        let y = unsafe { head.y.segment(query, y_column..y_column + head.dim) };
        y.fill(0.0);
        for (key, share) in logits.iter().enumerate() {
            vector::scaled_add(y, *share, &head.v.row(key)[v_column..][..head.dim]);
        }
    }
}
