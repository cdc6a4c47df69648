//! Mean average precision of multi-label classification.

/// The mean over classes with a positive of the average precision (area under the precision at each positive's rank); `scores` and
/// `targets` are rows of images by classes. Ties go to the earlier image.
pub fn mean_average_precision(scores: &[Vec<f32>], targets: &[Vec<bool>]) -> f64 {
    let classes = scores.first().map_or(0, Vec::len);
    let precisions: Vec<f64> = (0..classes).filter_map(|class| average_precision(scores, targets, class)).collect();
    precisions.iter().sum::<f64>() / precisions.len().max(1) as f64
}

fn average_precision(scores: &[Vec<f32>], targets: &[Vec<bool>], class: usize) -> Option<f64> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b][class].total_cmp(&scores[a][class]));
    let (mut found, mut sum) = (0usize, 0.0);
    for (rank, &image) in order.iter().enumerate() {
        if targets[image][class] {
            found += 1;
            sum += found as f64 / (rank + 1) as f64;
        }
    }
    (found > 0).then(|| sum / found as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_classes_by_hand_and_one_without_positives() {
        let scores = vec![vec![0.9, 0.1, 0.0], vec![0.8, 0.7, 0.0], vec![0.7, 0.2, 0.0]];
        let targets = vec![vec![true, false, false], vec![false, true, false], vec![true, false, false]];
        // First class: ranks 1 and 3 give (1 + 2/3) / 2; second: rank 1.
        let wanted = ((1.0 + 2.0 / 3.0) / 2.0 + 1.0) / 2.0;
        assert!((mean_average_precision(&scores, &targets) - wanted).abs() < 1e-12);
    }
}
