//! Attention, GELU, LayerNorm, softmax and resize of every instruction set beside their plain twins, one thread:
//! `cargo bench -p edgelip-kernels --features std --bench operators`.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use edgelip_kernels::{
    Activation, Attention, FRACTION, Kernels, LANES, Linear, Panels, Rows, RowsMut, Single, attention_scratch,
};

/// Values of both signs, most of them small.
fn values(len: usize) -> Vec<f32> {
    (0..len).map(|index| ((index * 7919 % 2003) as f32 / 1001.0 - 1.0).powi(3) * 4.0).collect()
}

/// Heads of width 64 over the tokens of ViT-B/32 and ViT-B/16, and over the most that a model may have.
fn attention(criterion: &mut Criterion) {
    const HEADS: usize = 12;
    const HEAD_DIM: usize = 64;
    for tokens in [50, 197, 577] {
        let width = HEADS * HEAD_DIM;
        let qkv = values(tokens * 3 * width);
        let rows = Rows::new(&qkv, tokens, 3 * width).unwrap();
        let operands = Attention {
            q: rows,
            q_column: 0,
            k: rows,
            k_column: width,
            v: rows,
            v_column: 2 * width,
            heads: HEADS,
            head_dim: HEAD_DIM,
            log_sizes: None,
            causal_from: None,
        };
        let mut out = vec![0.0; tokens * width];
        let mut scratch = vec![0.0; attention_scratch(tokens, tokens, HEAD_DIM, 1)];
        let mut group = criterion.benchmark_group(format!("attention {tokens} x {HEADS} x {HEAD_DIM}"));
        group.sample_size(20);
        group.throughput(Throughput::Elements((2 * tokens * tokens * width) as u64));
        for kernels in Kernels::available() {
            group.bench_function(BenchmarkId::from_parameter(kernels.name()), |bencher| {
                bencher.iter(|| {
                    let out = RowsMut::new(&mut out, tokens, width).unwrap();
                    kernels.attention(&operands, out, &mut scratch, &Single).unwrap();
                });
            });
        }
    }
}

/// The activation of a layer whose product is a single multiplication: what it costs beyond is the difference to no activation.
fn activations(criterion: &mut Criterion) {
    const ROWS: usize = 50;
    const WIDTH: usize = 3072;
    let (x, weights) = (values(ROWS * LANES), values(WIDTH));
    let x = Rows::new(&x, ROWS, LANES).unwrap();
    let layer = Linear { panels: Panels::F32(&weights), bias: &[], inputs: 1, outputs: WIDTH };
    let mut y = vec![0.0; ROWS * WIDTH];
    for activation in [Activation::None, Activation::Gelu, Activation::QuickGelu, Activation::TanhGelu] {
        let mut group = criterion.benchmark_group(format!("activation {activation:?} {ROWS} x {WIDTH}"));
        group.throughput(Throughput::Elements((ROWS * WIDTH) as u64));
        for kernels in Kernels::available() {
            group.bench_function(BenchmarkId::from_parameter(kernels.name()), |bencher| {
                bencher.iter(|| {
                    let y = RowsMut::new(&mut y, ROWS, WIDTH).unwrap();
                    kernels.linear(x, &layer, activation, false, y, &mut [], &Single).unwrap();
                });
            });
        }
    }
}

fn layer_norm(criterion: &mut Criterion) {
    for [rows, width] in [[50, 768], [197, 768], [256, 192]] {
        let x = values(rows * width);
        let x = Rows::new(&x, rows, width).unwrap();
        let mut y = vec![0.0; rows * width];
        let mut group = criterion.benchmark_group(format!("layer_norm {rows} x {width}"));
        group.throughput(Throughput::Elements((rows * width) as u64));
        for kernels in Kernels::available() {
            group.bench_function(BenchmarkId::from_parameter(kernels.name()), |bencher| {
                bencher.iter(|| {
                    let y = RowsMut::new(&mut y, rows, width).unwrap();
                    kernels.layer_norm(x, width, 1e-5, y, &Single).unwrap();
                });
            });
        }
    }
}

fn softmax(criterion: &mut Criterion) {
    for len in [50, 197, 1000] {
        let logits = values(len);
        let mut row = logits.clone();
        let mut group = criterion.benchmark_group(format!("softmax {len}"));
        group.throughput(Throughput::Elements(len as u64));
        for kernels in Kernels::available() {
            group.bench_function(BenchmarkId::from_parameter(kernels.name()), |bencher| {
                bencher.iter(|| {
                    row.copy_from_slice(&logits);
                    kernels.softmax(&mut row);
                });
            });
        }
    }
}

/// A line of a photo of 4000 columns filtered into 224 pixels, as the bicubic filter does.
fn resize(criterion: &mut Criterion) {
    const COLUMNS: usize = 4000;
    const PIXELS: usize = 224;
    const COUNT: usize = 72;
    let line: Vec<u8> = (0..3 * COLUMNS).map(|index| (index * 7919 % 251) as u8).collect();
    let table: Vec<i32> = (0..PIXELS)
        .flat_map(|pixel| {
            let first = pixel * (COLUMNS - COUNT) / PIXELS;
            [first as i32, COUNT as i32].into_iter().chain([(1 << FRACTION) / COUNT as i32; COUNT])
        })
        .collect();
    let mut planes = [(); 3].map(|()| vec![0; COLUMNS]);
    let mut out = [[0; 3]; PIXELS];
    let mut group = criterion.benchmark_group(format!("resize {COLUMNS} to {PIXELS}"));
    group.throughput(Throughput::Elements(COLUMNS as u64));
    for kernels in Kernels::available() {
        group.bench_function(BenchmarkId::from_parameter(kernels.name()), |bencher| {
            bencher.iter(|| {
                let [red, green, blue] = &mut planes;
                kernels.split_channels(&line, [red, green, blue]);
                kernels.filter_line([red, green, blue], &table, COUNT + 2, &mut out);
            });
        });
    }
}

criterion_group!(benches, attention, activations, layer_norm, softmax, resize);
criterion_main!(benches);
