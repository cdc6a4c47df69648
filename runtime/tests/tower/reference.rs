//! The tower as docs/file-format.md describes it, in plain loops and double precision; without merging, which has a reference of its own.

use std::f64::consts::TAU;
use std::fmt::Display;

use edgelip_kernels::math;

use super::Tower;

type Rows = Vec<Vec<f64>>;

/// The embedding of `pixels` `[H, W, 3]`.
pub fn embed(tower: &Tower, pixels: &[u8]) -> Vec<f64> {
    let shape = &tower.shape;
    let mut patches = if shape.stem.is_empty() { cut(tower, pixels) } else { convolve(tower, pixels) };
    for (patch, position) in patches.iter_mut().zip(rows(tower, "vision.position", shape.width)) {
        add(patch, &position);
    }
    if shape.pre_norm {
        patches = affine(tower, &patches, "vision.pre_norm");
    }
    for index in 0..shape.frequency_blocks {
        let name = |part: &str| format!("vision.frequency.{index}.{part}");
        let filtered = filter(tower, &norm(&patches), &name("filter"), &name("bias"));
        patches.iter_mut().zip(&filtered).for_each(|(patch, filtered)| add(patch, filtered));
        mlp(tower, &mut patches, "vision.frequency", index);
    }
    let has_class = ["class", "pooler"].contains(&shape.pooling);
    let mut tokens = if has_class { rows(tower, "vision.class", shape.width) } else { Rows::new() };
    tokens.extend(patches.iter().cloned());
    for index in 0..shape.blocks {
        attend(tower, &mut tokens, index);
        mlp(tower, &mut tokens, "vision.blocks", index);
    }
    let mut pooled = pool(tower, &tokens);
    if shape.projected {
        pooled = linear(tower, &vec![pooled], "vision.projection", shape.embedding).remove(0);
    }
    let spatial = if shape.unit { unit(&pooled) } else { pooled };
    if !shape.joint {
        return spatial;
    }
    let normed = affine(tower, &patches, "vision.frequency.norm");
    let mut mean = vec![0.0; shape.width];
    normed.iter().for_each(|row| add(&mut mean, row));
    mean.iter_mut().for_each(|sum| *sum /= normed.len() as f64);
    let mut joint = unit(&linear(tower, &vec![mean], "vision.frequency.projection", shape.embedding)[0]);
    add(&mut joint, &spatial);
    unit(&joint)
}

/// What the projection takes.
fn pool(tower: &Tower, tokens: &Rows) -> Vec<f64> {
    let (width, heads) = (tower.shape.width, tower.shape.heads);
    let mean = |tokens: &Rows| {
        let mut mean = vec![0.0; width];
        tokens.iter().for_each(|row| add(&mut mean, row));
        mean.iter().map(|sum| sum / tokens.len() as f64).collect::<Vec<f64>>()
    };
    match tower.shape.pooling {
        "class" => norm(tokens).remove(0),
        "pooler" => {
            let pooled = linear(tower, &vec![norm(tokens).remove(0)], "vision.pooler", width).remove(0);
            pooled.iter().map(|value| value.tanh()).collect()
        }
        "mean" => norm(&vec![mean(tokens)]).remove(0),
        "normed_mean" => mean(&norm(tokens)),
        _ => {
            let query = rows(tower, "vision.pool.query", width).remove(0);
            let kv = linear(tower, &norm(tokens), "vision.pool.kv", 2 * width);
            let read = read(&query, &kv, [0, width], heads);
            let mut pooled = linear(tower, &vec![read], "vision.pool.out", width);
            mlp(tower, &mut pooled, "vision", "pool");
            pooled.remove(0)
        }
    }
}

fn rows(tower: &Tower, name: &str, width: usize) -> Rows {
    tower.values[name].chunks(width).map(|row| row.iter().map(|&value| f64::from(value)).collect()).collect()
}

fn add(to: &mut [f64], from: &[f64]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
}

fn unit(x: &[f64]) -> Vec<f64> {
    let length = x.iter().map(|value| value * value).sum::<f64>().sqrt();
    x.iter().map(|value| value / length).collect()
}

fn norm(x: &Rows) -> Rows {
    let of_row = |row: &Vec<f64>| {
        let count = row.len() as f64;
        let mean = row.iter().sum::<f64>() / count;
        let variance = row.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
        row.iter().map(|value| (value - mean) / (variance + 1e-5).sqrt()).collect()
    };
    x.iter().map(of_row).collect()
}

fn affine(tower: &Tower, x: &Rows, name: &str) -> Rows {
    let [gain, bias] =
        ["weight", "bias"].map(|part| rows(tower, &format!("{name}.{part}"), tower.shape.width).remove(0));
    let of_row =
        |row: Vec<f64>| row.iter().zip(gain.iter().zip(&bias)).map(|(x, (gain, bias))| x * gain + bias).collect();
    norm(x).into_iter().map(of_row).collect()
}

/// `outputs` are those of all groups.
fn linear(tower: &Tower, x: &Rows, name: &str, outputs: usize) -> Rows {
    let weight = rows(tower, &format!("{name}.weight"), x[0].len());
    let bias = tower.values.get(&format!("{name}.bias"));
    let of_row = |row: &Vec<f64>| {
        let of_output = |output: usize| {
            let product: f64 = weight[output].iter().zip(row).map(|(weight, x)| weight * x).sum();
            product + bias.map_or(0.0, |bias| f64::from(bias[output]))
        };
        (0..outputs).map(of_output).collect()
    };
    x.iter().map(of_row).collect()
}

fn gelu(x: &mut Rows) {
    for value in x.iter_mut().flatten() {
        *value *= 0.5 * (1.0 + f64::from(math::erf((*value * 0.5f64.sqrt()) as f32)));
    }
}

fn mlp(tower: &Tower, x: &mut Rows, stage: &str, index: impl Display) {
    let mut hidden = linear(tower, &norm(x), &format!("{stage}.{index}.fc1"), tower.shape.mlp);
    gelu(&mut hidden);
    let out = linear(tower, &hidden, &format!("{stage}.{index}.fc2"), tower.shape.width);
    x.iter_mut().zip(&out).for_each(|(x, out)| add(x, out));
}

fn cut(tower: &Tower, pixels: &[u8]) -> Rows {
    let (patch, [rows, columns], line) = (tower.shape.patch, tower.shape.grid(), tower.shape.image[1]);
    let value = |index: usize, k: usize| {
        let (y, x) = (index / columns * patch + k / 3 / patch, index % columns * patch + k / 3 % patch);
        f64::from(pixels[(y * line + x) * 3 + k % 3]) / 256.0
    };
    let patches = (0..rows * columns).map(|index| (0..3 * patch * patch).map(|k| value(index, k)).collect()).collect();
    linear(tower, &patches, "vision.patch", tower.shape.width)
}

fn convolve(tower: &Tower, pixels: &[u8]) -> Rows {
    let mut map: Rows =
        pixels.chunks(3).map(|cell| cell.iter().map(|&value| f64::from(value) / 256.0).collect()).collect();
    let mut outside = rows(tower, "vision.pixel.offset", 3).remove(0);
    let [mut height, mut width] = tower.shape.image;
    for (index, &outputs) in tower.shape.stem.iter().enumerate() {
        if index > 0 {
            gelu(&mut map);
            outside = vec![0.0; map[0].len()];
        }
        let [side, stride, border] = tower.shape.window(index);
        let cell = |y: usize, x: usize| {
            let inside = (border..border + height).contains(&y) && (border..border + width).contains(&x);
            if inside { &map[(y - border) * width + x - border] } else { &outside }
        };
        let [lines, columns] = [height, width].map(|length| (length + 2 * border - side) / stride + 1);
        let window = |index: usize| {
            let (y, x) = (stride * (index / columns), stride * (index % columns));
            (0..side * side).flat_map(|k| cell(y + k / side, x + k % side).iter().copied()).collect()
        };
        let windows = (0..lines * columns).map(window).collect();
        map = linear(tower, &windows, &format!("vision.stem.{index}"), outputs);
        [height, width] = [lines, columns];
    }
    map
}

/// Both transforms by their definition.
fn filter(tower: &Tower, x: &Rows, name: &str, bias: &str) -> Rows {
    let ([height, width], channels) = (tower.shape.grid(), tower.shape.width);
    let (half, values, bias) = (width / 2 + 1, &tower.values[name], rows(tower, bias, channels).remove(0));
    let angle = |u: usize, v: usize, cell: usize| {
        TAU * ((u * (cell / width)) as f64 / height as f64 + (v * (cell % width)) as f64 / width as f64)
    };
    let mut out = vec![bias; height * width];
    for u in 0..height {
        for v in 0..half {
            // The other half of a real signal's spectrum is this one's conjugate.
            let share = if v == 0 || 2 * v == width { 1.0 } else { 2.0 };
            for channel in 0..channels {
                let part = |part: usize| f64::from(values[((u * half + v) * 2 + part) * channels + channel]);
                let sum =
                    |f: fn(f64) -> f64| (0..height * width).map(|cell| f(angle(u, v, cell)) * x[cell][channel]).sum();
                let (real, imaginary): (f64, f64) = (sum(f64::cos), sum(|angle| -angle.sin()));
                let real_product = real * part(0) - imaginary * part(1);
                let imaginary_product = real * part(1) + imaginary * part(0);
                for (cell, out) in out.iter_mut().enumerate() {
                    let angle = angle(u, v, cell);
                    out[channel] += share * (real_product * angle.cos() - imaginary_product * angle.sin());
                }
            }
        }
    }
    out
}

fn attend(tower: &Tower, tokens: &mut Rows, index: usize) {
    let (width, heads) = (tower.shape.width, tower.shape.heads);
    let qkv = linear(tower, &norm(tokens), &format!("vision.blocks.{index}.qkv"), 3 * width);
    let attended = qkv.iter().map(|query| read(&query[..width], &qkv, [width, 2 * width], heads)).collect();
    let out = linear(tower, &attended, &format!("vision.blocks.{index}.out"), width);
    tokens.iter_mut().zip(&out).for_each(|(token, out)| add(token, out));
}

/// What a query reads from rows that hold its keys and its values from these columns on.
fn read(query: &[f64], rows: &Rows, [key, value]: [usize; 2], heads: usize) -> Vec<f64> {
    let (width, dim) = (query.len(), query.len() / heads);
    let mut out = vec![0.0; width];
    for head in (0..width).step_by(dim) {
        let logit = |row: &Vec<f64>| -> f64 { (head..head + dim).map(|c| query[c] * row[key + c]).sum() };
        let weights: Vec<f64> = rows.iter().map(|row| logit(row).exp()).collect();
        let total: f64 = weights.iter().sum();
        for c in head..head + dim {
            out[c] = weights.iter().zip(rows).map(|(weight, row)| weight / total * row[value + c]).sum();
        }
    }
    out
}
