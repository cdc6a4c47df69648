//! Small image towers with random weights, written byte by byte as docs/file-format.md says: no exporter is needed.
#![allow(dead_code, reason = "each test takes what it needs")]

pub mod reference;

use std::collections::BTreeMap;

use edgelip_kernels::padded;

/// What a tower is made of; an f32 one keeps its weights for the [`reference`].
#[derive(Clone)]
pub struct Shape {
    pub image: [usize; 2],
    pub patch: usize,
    pub stem: &'static [usize],
    /// Side, stride and border of each convolution; empty for 3, 2 and 1.
    pub windows: &'static [[usize; 3]],
    pub frequency_blocks: usize,
    pub width: usize,
    pub heads: usize,
    pub blocks: usize,
    pub mlp: usize,
    pub embedding: usize,
    pub joint: bool,
    /// Strength and semantic share.
    pub guide: Option<[f32; 2]>,
    /// What is read: with `class` there is a class token.
    pub pooling: &'static str,
    pub pre_norm: bool,
    pub projected: bool,
    pub unit: bool,
    pub merge: &'static str,
    pub schedule: &'static [usize],
    pub precision: &'static str,
}

/// Convolutions, a frequency stage, a guide, both domains read: everything at once, with widths that need padding.
pub const WHOLE: Shape = Shape {
    image: [40, 56],
    patch: 8,
    stem: &[7, 20, 24],
    windows: &[],
    frequency_blocks: 2,
    width: 24,
    heads: 3,
    blocks: 4,
    mlp: 40,
    embedding: 20,
    joint: true,
    guide: Some([0.4, 0.3]),
    pooling: "class",
    pre_norm: true,
    projected: true,
    unit: true,
    merge: "ward",
    schedule: &[9, 7, 5, 0],
    precision: "f32",
};

/// A file in the making.
#[derive(Clone)]
pub struct Tower {
    pub shape: Shape,
    pub metadata: BTreeMap<String, String>,
    /// Name, ONNX's element type, dimensions and bytes of each initializer.
    pub tensors: Vec<(String, u64, Vec<usize>, Vec<u8>)>,
    /// Weights `[outputs, inputs]`, biases, filters `[coefficients, 2, channels]` and all else by name, without padding.
    pub values: BTreeMap<String, Vec<f32>>,
    state: u64,
}

impl Shape {
    pub fn grid(&self) -> [usize; 2] {
        self.image.map(|side| side / self.patch)
    }

    /// Side, stride and border of a convolution.
    pub fn window(&self, index: usize) -> [usize; 3] {
        self.windows.get(index).copied().unwrap_or([3, 2, 1])
    }

    pub fn coefficients(&self) -> usize {
        self.grid()[0] * (self.grid()[1] / 2 + 1)
    }
}

impl Tower {
    pub fn new(shape: &Shape) -> Self {
        let mut tower = Tower {
            shape: shape.clone(),
            metadata: BTreeMap::new(),
            tensors: Vec::new(),
            values: BTreeMap::new(),
            state: 1,
        };
        tower.describe();
        tower.fill();
        tower
    }

    fn describe(&mut self) {
        let list = |numbers: &[usize]| numbers.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
        let shape = self.shape.clone();
        let mut set = |key: &str, value: String| self.metadata.insert(format!("edgelip.{key}"), value);
        for (key, value) in [
            ("format", "1"),
            ("tower", "vision"),
            ("family", "mlip"),
            ("precision", shape.precision),
            ("activation", "gelu"),
            ("norm_eps", "1e-5"),
            ("pooling", shape.pooling),
            ("merge", shape.merge),
            ("preprocess.resize", "none"),
            ("preprocess.filter", "bicubic"),
            ("preprocess.crop", "none"),
            ("preprocess.rescale", "0.00392156862745098"),
            ("preprocess.mean", "0.5,0.5,0.5"),
            ("preprocess.std", "0.5,0.5,0.5"),
            ("logit_scale", "10"),
            ("logit_bias", "0"),
            ("score", "softmax"),
        ] {
            set(key, value.into());
        }
        for (key, value) in [
            ("width", shape.width),
            ("heads", shape.heads),
            ("blocks", shape.blocks),
            ("mlp", shape.mlp),
            ("embedding", shape.embedding),
            ("patch", shape.patch),
        ] {
            set(key, value.to_string());
        }
        set("image", list(&shape.image));
        set("schedule", list(shape.schedule));
        if !shape.stem.is_empty() {
            set("stem", list(shape.stem));
            for (part, key) in ["stem_sides", "stem_strides", "stem_borders"].into_iter().enumerate() {
                if !shape.windows.is_empty() {
                    set(key, list(&shape.windows.iter().map(|window| window[part]).collect::<Vec<_>>()));
                }
            }
        }
        if shape.frequency_blocks > 0 {
            set("frequency_blocks", shape.frequency_blocks.to_string());
            set("readout", if shape.joint { "joint" } else { "spatial" }.into());
        }
        for (key, set_so) in [("pre_norm", shape.pre_norm), ("projection", shape.projected), ("unit", shape.unit)] {
            if !set_so {
                set(key, "false".into());
            }
        }
        if let Some([strength, semantic]) = shape.guide {
            set("guide", strength.to_string());
            set("guide_semantic", semantic.to_string());
        }
    }

    fn fill(&mut self) {
        let Shape { width, mlp, embedding, .. } = self.shape;
        let ([rows, columns], shape) = (self.shape.grid(), self.shape.clone());
        if shape.stem.is_empty() {
            self.linear("vision.patch", [3 * shape.patch * shape.patch, width], 1, true, false);
        } else {
            self.floats("vision.pixel.offset", &[3], 1.0, 0.0);
            self.tensors.last_mut().unwrap().2 = vec![1, 3, 1, 1];
            let inputs = [3].iter().chain(shape.stem);
            for (index, (&inputs, &outputs)) in inputs.zip(shape.stem).enumerate() {
                let [side, ..] = shape.window(index);
                self.linear(&format!("vision.stem.{index}"), [side * side * inputs, outputs], 1, index == 0, true);
            }
        }
        self.floats("vision.position", &[rows * columns, width], 0.5, 0.0);
        if ["class", "pooler"].contains(&shape.pooling) {
            self.floats("vision.class", &[1, width], 1.0, 0.0);
        }
        if shape.pre_norm {
            self.norm("vision.pre_norm");
        }
        if shape.merge == "ward" {
            let bytes = (0..rows * columns).flat_map(|i| (snake(i, columns) as i64).to_le_bytes()).collect();
            self.tensors.push(("vision.order".into(), 7, vec![rows * columns], bytes));
        }
        for index in 0..shape.frequency_blocks {
            let name = |part: &str| format!("vision.frequency.{index}.{part}");
            self.filter(&name("filter"));
            self.floats(&name("bias"), &[width], 0.1, 0.0);
            self.linear(&name("fc1"), [width, mlp], 1, false, true);
            self.linear(&name("fc2"), [mlp, width], 1, false, true);
        }
        let feature = shape.joint || (shape.guide.is_some() && shape.schedule.iter().any(|&r| r > 0));
        if shape.frequency_blocks > 0 && feature {
            self.norm("vision.frequency.norm");
        }
        if shape.joint {
            self.linear("vision.frequency.projection", [width, embedding], 1, true, false);
        }
        for index in 0..shape.blocks {
            let name = |part: &str| format!("vision.blocks.{index}.{part}");
            self.linear(&name("qkv"), [width, width], 3, false, true);
            self.linear(&name("out"), [width, width], 1, false, true);
            self.linear(&name("fc1"), [width, mlp], 1, false, true);
            self.linear(&name("fc2"), [mlp, width], 1, false, true);
        }
        if shape.pooling == "pooler" {
            self.linear("vision.pooler", [width, width], 1, true, true);
        }
        if shape.pooling == "attention" {
            self.floats("vision.pool.query", &[1, width], 1.0, 0.0);
            self.linear("vision.pool.kv", [width, width], 2, false, true);
            self.linear("vision.pool.out", [width, width], 1, false, true);
            self.linear("vision.pool.fc1", [width, mlp], 1, false, true);
            self.linear("vision.pool.fc2", [mlp, width], 1, false, true);
        }
        if shape.projected {
            self.linear("vision.projection", [width, embedding], 1, true, true);
        }
    }

    /// Between −1 and 1.
    fn random(&mut self) -> f32 {
        self.state = self.state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.state >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    fn norm(&mut self, name: &str) {
        self.floats(&format!("{name}.weight"), &[self.shape.width], 0.5, 1.0);
        self.floats(&format!("{name}.bias"), &[self.shape.width], 0.3, 0.0);
    }

    /// Values around `centre`, the last dimension padded with zeros in the file.
    fn floats(&mut self, name: &str, dims: &[usize], spread: f32, centre: f32) {
        let last = dims[dims.len() - 1];
        let stride = if last == 3 { 3 } else { padded(last) };
        let values: Vec<f32> = (0..dims.iter().product()).map(|_| centre + spread * self.random()).collect();
        let mut stored = vec![0.0; values.len() / last * stride];
        for (to, from) in stored.chunks_mut(stride).zip(values.chunks(last)) {
            to[..last].copy_from_slice(from);
        }
        let mut dims = dims.to_vec();
        *dims.last_mut().unwrap() = stride;
        self.push(name, dims, &stored);
        self.values.insert(name.into(), values);
    }

    fn push(&mut self, name: &str, dims: Vec<usize>, values: &[f32]) {
        self.tensors.push((name.into(), 1, dims, values.iter().flat_map(|value| value.to_le_bytes()).collect()));
    }

    fn filter(&mut self, name: &str) {
        let (width, coefficients) = (self.shape.width, self.shape.coefficients());
        let spread = 2.0 / (self.shape.grid()[0] * self.shape.grid()[1]) as f32;
        let values: Vec<f32> = (0..coefficients * 2 * width).map(|_| spread * self.random()).collect();
        let mut stored = vec![0.0; coefficients * 2 * padded(width)];
        for (index, &value) in values.iter().enumerate() {
            let (part, channel) = (index / width, index % width);
            stored[(channel / 16 * 2 * coefficients + part) * 16 + channel % 16] = value;
        }
        self.push(name, vec![padded(width) / 16, coefficients, 2, 16], &stored);
        self.values.insert(name.into(), values);
    }

    /// A layer in panels; integers and halves are drawn as they are stored. At an `edge` of the tower nothing is stored in integers.
    fn linear(&mut self, name: &str, [inputs, outputs]: [usize; 2], groups: usize, edge: bool, bias: bool) {
        let (weight, panels) = (format!("{name}.weight"), padded(outputs) / 16);
        let leading = |rest: &[usize]| [&[groups, panels][usize::from(groups == 1)..], rest].concat();
        let spread = (3.0 / inputs as f32).sqrt();
        match self.shape.precision {
            "i8" if !edge => {
                let depth = inputs.div_ceil(4) * 4;
                let (mut bytes, mut zero) = (vec![0u8; groups * panels * depth * 16], vec![0i32; groups * panels * 16]);
                for (output, zero) in zero.iter_mut().enumerate() {
                    for input in (0..inputs).filter(|_| output % (panels * 16) < outputs) {
                        let value = (self.random() * 127.0) as i8;
                        *zero += 128 * i32::from(value);
                        let at = ((output / 16 * depth / 4 + input / 4) * 16 + output % 16) * 4 + input % 4;
                        bytes[at] = value as u8;
                    }
                }
                self.tensors.push((weight, 3, leading(&[depth / 4, 16, 4]), bytes));
                self.push(&format!("{name}.scale"), vec![zero.len()], &vec![spread / 127.0; zero.len()]);
                let bytes = zero.iter().flat_map(|zero| zero.to_le_bytes()).collect();
                self.tensors.push((format!("{name}.zero"), 6, vec![groups * panels * 16], bytes));
            }
            "f32" => {
                let values: Vec<f32> = (0..groups * outputs * inputs).map(|_| spread * self.random()).collect();
                let mut stored = vec![0.0; groups * panels * 16 * inputs];
                for (row, values) in values.chunks(inputs).enumerate() {
                    let output = row / outputs * panels * 16 + row % outputs;
                    for (input, &value) in values.iter().enumerate() {
                        stored[(output / 16 * inputs + input) * 16 + output % 16] = value;
                    }
                }
                self.push(&weight, leading(&[inputs, 16]), &stored);
                self.values.insert(weight, values);
            }
            _ => {
                // Halves of either sign between 2⁻⁴ and 2⁻³: the bits below the exponent are free.
                let count = groups * panels * 16 * inputs;
                let bits =
                    |value: f32| 0x2c00 | ((value.to_bits() >> 8) as u16 & 0x83ff) | ((value < 0.0) as u16) << 15;
                let bytes = (0..count).flat_map(|_| bits(self.random()).to_le_bytes()).collect();
                self.tensors.push((weight, 10, leading(&[inputs, 16]), bytes));
            }
        }
        if bias {
            let name = format!("{name}.bias");
            let values: Vec<f32> = (0..groups * outputs).map(|_| 0.2 * self.random()).collect();
            let mut stored = vec![0.0; groups * panels * 16];
            for (to, from) in stored.chunks_mut(panels * 16).zip(values.chunks(outputs)) {
                to[..outputs].copy_from_slice(from);
            }
            self.push(&name, vec![stored.len()], &stored);
            self.values.insert(name, values);
        }
    }

    /// Changes an entry of the metadata.
    pub fn set(&mut self, key: &str, value: &str) -> &mut Self {
        self.metadata.insert(format!("edgelip.{key}"), value.into());
        self
    }

    /// Takes a tensor of zeros for one, which the runtime must read all the same.
    pub fn zero(&mut self, name: &str) -> &mut Self {
        for tensor in self.tensors.iter_mut().filter(|tensor| tensor.0 == name) {
            tensor.3.fill(0);
        }
        self
    }

    /// The file. Tensors start at multiples of 64 bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let mut file = Vec::new();
        for (key, value) in &self.metadata {
            let mut entry = Vec::new();
            field(&mut entry, 1, key.as_bytes());
            field(&mut entry, 2, value.as_bytes());
            field(&mut file, 14, &entry);
        }
        // Tag and length of the graph come before it, in six bytes.
        let base = file.len() + 6;
        let mut graph = Vec::new();
        for (name, data_type, dims, raw) in &self.tensors {
            let mut tensor = Vec::new();
            for &dim in dims {
                tensor.push(1 << 3);
                tensor.extend(length(dim));
            }
            tensor.push(2 << 3);
            tensor.extend(length(*data_type as usize));
            field(&mut tensor, 8, name.as_bytes());
            // Its own tag and length, those of the padding and those of the bytes.
            let at = base + graph.len() + 6 + tensor.len() + 6 + 6;
            field(&mut tensor, 12, &vec![b' '; at.next_multiple_of(64) - at]);
            field(&mut tensor, 9, raw);
            field(&mut graph, 5, &tensor);
        }
        field(&mut file, 7, &graph);
        file
    }
}

fn field(message: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    message.push(number << 3 | 2);
    message.extend(length(bytes.len()));
    message.extend(bytes);
}

/// A varint of five bytes, whatever the value.
fn length(value: usize) -> [u8; 5] {
    core::array::from_fn(|i| (value >> (7 * i)) as u8 & 0x7f | if i < 4 { 0x80 } else { 0 })
}

/// Bytes at an address that is a multiple of 64, as a mapped file's are.
pub fn aligned<R>(bytes: &[u8], use_it: impl FnOnce(&mut [u8]) -> R) -> R {
    let mut room = vec![0u8; bytes.len() + 64];
    let skip = room.as_ptr().align_offset(64);
    let place = &mut room[skip..skip + bytes.len()];
    place.copy_from_slice(bytes);
    use_it(place)
}

/// Raster index of the patch at position `i` of the order in which `ward` merges.
pub fn snake(i: usize, columns: usize) -> usize {
    let (row, column) = (i / columns, i % columns);
    row * columns + if row.is_multiple_of(2) { column } else { columns - 1 - column }
}

/// An image of colours with texture, `[H, W, 3]`.
pub fn pixels([height, width]: [usize; 2]) -> Vec<u8> {
    (0..height * width * 3)
        .map(|i| ((i / 3 % width * 9) ^ (i / 3 / width * 7) ^ (i % 3 * 85) ^ (i / 97)) as u8)
        .collect()
}
