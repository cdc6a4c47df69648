use edgelip_kernels::{Attention, Kernels, LANES, Parallel, RowsMut, Single, attention_scratch, padded};

use crate::{Matrix, Random, assert_same, instruction_sets, pools};

struct Case {
    queries: usize,
    keys: usize,
    heads: usize,
    head_dim: usize,
    sized: bool,
    causal_from: Option<usize>,
}

fn apply(kernels: Kernels, case: &Case, parallel: &dyn Parallel) -> Vec<f32> {
    let mut random = Random(21);
    let &Case { queries, keys, heads, head_dim, sized, causal_from } = case;
    let width = heads * head_dim;
    let q = Matrix::random(&mut random, queries, 5 + width);
    // Keys and values are parts of one matrix, as after a joint projection.
    let kv = Matrix::random(&mut random, keys, 2 * width);
    let sizes: Vec<f32> = (0..keys).map(|_| (1.0 + random.below(9) as f32).ln()).collect();
    let attention = Attention {
        q: q.rows(),
        q_column: 5,
        k: kv.rows(),
        k_column: 0,
        v: kv.rows(),
        v_column: width,
        heads,
        head_dim,
        log_sizes: sized.then_some(&sizes),
        causal_from,
    };
    let stride = padded(width) + LANES;
    let mut out = vec![7.0; queries * stride];
    let mut scratch = vec![f32::NAN; attention_scratch(queries, keys, head_dim, parallel.workers())];
    let rows = RowsMut::new(&mut out, queries, stride).unwrap();
    kernels.attention(&attention, rows, &mut scratch, parallel).unwrap();
    out
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (queries, keys) in [(1, 50), (3, 7), (5, 1), (17, 17), (29, 33), (50, 50), (14, 63)] {
        for (heads, head_dim) in [(1, 64), (2, 5), (3, 16), (2, 24), (1, 1), (2, 80)] {
            for sized in [false, true] {
                cases.push(Case { queries, keys, heads, head_dim, sized, causal_from: None });
                let causal_from = Some(keys.saturating_sub(queries));
                cases.push(Case { queries, keys, heads, head_dim, sized, causal_from });
            }
        }
    }
    cases
}

#[test]
fn attention_agrees_with_the_plain_twin() {
    for case in cases() {
        let ought = apply(Kernels::generic(), &case, &Single);
        for kernels in instruction_sets() {
            let what = format!(
                "{} {} queries, {} keys, {} heads of {}, causal from {:?}",
                kernels.name(),
                case.queries,
                case.keys,
                case.heads,
                case.head_dim,
                case.causal_from
            );
            assert_same(&apply(kernels, &case, &Single), &ought, &what);
        }
    }
}

#[test]
fn bits_do_not_depend_on_the_number_of_workers() {
    let pools = pools();
    for case in cases() {
        for kernels in Kernels::available() {
            let alone = apply(kernels, &case, &Single);
            for pool in &pools {
                assert_same(&apply(kernels, &case, pool), &alone, kernels.name());
            }
        }
    }
}

#[test]
fn a_lost_attention_is_an_error() {
    let data = [0.0; 64];
    let rows = edgelip_kernels::Rows::new(&data, 2, 32).unwrap();
    let mut out = [0.0; 64];
    let mut run = |q_column, heads, head_dim, scratch: usize| {
        let attention = Attention {
            q: rows,
            q_column,
            k: rows,
            k_column: 0,
            v: rows,
            v_column: 0,
            heads,
            head_dim,
            log_sizes: None,
            causal_from: None,
        };
        let out = RowsMut::new(&mut out, 2, 32).unwrap();
        Kernels::detect().attention(&attention, out, &mut vec![0.0; scratch], &Single)
    };
    let enough = attention_scratch(2, 2, 16, 1);
    assert!(run(0, 2, 16, enough).is_ok());
    assert!(run(0, 2, 16, enough - 1).is_err());
    assert!(run(1, 2, 16, enough).is_err());
    assert!(run(0, 3, 16, enough).is_err());
    assert!(run(0, usize::MAX, 16, enough).is_err());
    assert!(run(usize::MAX, 2, 16, enough).is_err());
    assert!(run(0, 2, 0, enough).is_err());
}
