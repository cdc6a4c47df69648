//! Linear layers: panels in the file, matrix products in the graph.

use std::cell::OnceCell;
use std::io::Write;
use std::rc::Rc;

use edgelip::onnx::ElementType;
use edgelip_kernels::{LANES, padded};

use crate::error::Error;

use super::Precision;
use super::builder::{Graph, Value};
use super::fold::Folded;
use super::pack::{GROUP, quantise, write_f16, write_f32, write_i8};

/// Reads and folds a group of a layer's outputs.
pub(super) type Load<'a> = Box<dyn Fn() -> Result<Folded, Error> + 'a>;

/// What a linear layer is.
pub(super) struct LinearSpec<'a> {
    /// Canonical name without `.weight`.
    pub name: String,
    pub inputs: usize,
    /// Outputs of each group.
    pub outputs: usize,
    pub precision: Precision,
    /// Whether the layer has a bias in the file.
    pub bias: bool,
    /// Independent groups of outputs: q, k and v, or only one.
    pub groups: Vec<Load<'a>>,
}

/// A linear layer whose weights are in the graph as matrices.
pub(super) struct Linear {
    /// `[inputs, groups · padded(outputs)]` in f32 or i8.
    matrix: Value,
    bias: Option<Value>,
    integer: Option<Integer>,
    outputs: usize,
    groups: usize,
}

/// Scale and zero `[groups · padded(outputs)]` of integer weights.
struct Integer {
    scale: Value,
    zero: Value,
}

/// Rows quantised to u8 and their scale.
pub(super) struct QuantisedRows {
    rows: Value,
    scale: Value,
}

/// The input of linear layers.
pub(super) enum Input {
    Float(Value),
    Quantised(QuantisedRows),
}

impl<'a> Graph<'a> {
    /// Puts a layer's initializers into the file and its matrix into the graph.
    pub fn linear_layer(&mut self, step: &str, spec: LinearSpec<'a>) -> Linear {
        let (inputs, outputs, groups) = (spec.inputs, spec.outputs, spec.groups.len());
        let panels = padded(outputs) / LANES;
        let columns = groups * padded(outputs);
        let (element, panel) = match spec.precision {
            Precision::F32 => (ElementType::F32, vec![inputs, LANES]),
            Precision::F16 => (ElementType::F16, vec![inputs, LANES]),
            Precision::I8 => (ElementType::I8, vec![inputs.div_ceil(GROUP), LANES, GROUP]),
        };
        let mut dims = if groups == 1 { vec![panels] } else { vec![groups, panels] };
        let lead = dims.len() as i64;
        dims.extend(panel);

        let name = spec.name.clone();
        let (precision, has_bias) = (spec.precision, spec.bias);
        let layer = Rc::new(Layer { spec, vectors: OnceCell::new() });
        let stream = layer.clone();
        let panels = self.weight(&format!("{name}.weight"), element, &dims, Box::new(move |out| stream.write(out)));
        let bias = has_bias.then(|| self.vector(&layer, "bias", ElementType::F32, columns, |vectors| &vectors.bias));
        let integer = (precision == Precision::I8).then(|| Integer {
            scale: self.vector(&layer, "scale", ElementType::F32, columns, |vectors| &vectors.scale),
            zero: self.vector(&layer, "zero", ElementType::I32, columns, |vectors| &vectors.zero),
        });

        // Inputs come first, then groups, panels and lanes. Panels of integers have their inputs on two axes.
        let mut order = if integer.is_some() { vec![lead, lead + 2] } else { vec![lead] };
        order.extend(0..lead);
        order.push(lead + 1);
        let rows = self.transpose(&format!("{step}/weight/rows"), &panels, &order);
        let mut matrix =
            self.reshape(&format!("{step}/weight/matrix"), &rows, &[dims_inputs(precision, inputs), columns as i64]);
        if precision == Precision::I8 && !inputs.is_multiple_of(GROUP) {
            matrix = self.slice(&format!("{step}/weight/inputs"), &matrix, 0, 0, inputs as i64, 1);
        }
        if precision == Precision::F16 {
            matrix = self.cast(&format!("{step}/weight/f32"), &matrix, ElementType::F32);
        }
        Linear { matrix, bias, integer, outputs, groups }
    }

    fn vector(
        &mut self,
        layer: &Rc<Layer<'a>>,
        part: &str,
        element: ElementType,
        length: usize,
        pick: fn(&Vectors) -> &Vec<u8>,
    ) -> Value {
        let name = format!("{}.{part}", layer.spec.name);
        let layer = layer.clone();
        self.weight(&name, element, &[length], Box::new(move |out| Ok(out.write_all(pick(layer.vectors()?))?)))
    }

    /// Prepares `x [N, rows, inputs]` for layers of a precision.
    pub fn linear_input(&mut self, step: &str, x: &Value, precision: Precision) -> Input {
        if precision != Precision::I8 {
            return Input::Float(x.clone());
        }
        let (least, most, offset) = (self.float(1e-20), self.float(127.0), self.float(128.0));
        let magnitude = self.node("Abs", &format!("{step}/quantise/magnitude"), &[x]);
        let largest = self.reduce("ReduceMax", &format!("{step}/quantise/largest"), &magnitude, -1);
        let range = self.node("Max", &format!("{step}/quantise/range"), &[&largest, &least]);
        let factor = self.node("Div", &format!("{step}/quantise/factor"), &[&most, &range]);
        let scaled = self.node("Mul", &format!("{step}/quantise/scaled"), &[x, &factor]);
        let rounded = self.node("Round", &format!("{step}/quantise/rounded"), &[&scaled]);
        let shifted = self.node("Add", &format!("{step}/quantise/shifted"), &[&rounded, &offset]);
        let rows = self.cast(&format!("{step}/quantise"), &shifted, ElementType::U8);
        let scale = self.node("Div", &format!("{step}/quantise/row_scale"), &[&range, &most]);
        Input::Quantised(QuantisedRows { rows, scale })
    }

    /// The rows `start..end` of an input.
    pub fn input_rows(&mut self, step: &str, input: &Input, start: i64, end: i64) -> Input {
        match input {
            Input::Float(x) => Input::Float(self.slice(&format!("{step}/rows"), x, 1, start, end, 1)),
            Input::Quantised(x) => Input::Quantised(QuantisedRows {
                rows: self.slice(&format!("{step}/rows"), &x.rows, 1, start, end, 1),
                scale: self.slice(&format!("{step}/row_scales"), &x.scale, 1, start, end, 1),
            }),
        }
    }

    /// Gathers rows `indices [N, R]` of an input.
    pub fn gather_input_rows(&mut self, step: &str, input: &Input, indices: &Value) -> Input {
        match input {
            Input::Float(x) => Input::Float(self.rows(&format!("{step}/rows"), x, indices)),
            Input::Quantised(x) => Input::Quantised(QuantisedRows {
                rows: self.rows(&format!("{step}/rows"), &x.rows, indices),
                scale: self.rows(&format!("{step}/row_scales"), &x.scale, indices),
            }),
        }
    }

    /// All outputs of a layer with one group: `[N, rows, outputs]`.
    pub fn linear(&mut self, step: &str, input: &Input, layer: &Linear) -> Value {
        let y = self.linear_groups(step, input, layer, 0..1);
        self.columns(&format!("{step}/outputs"), &y, layer.outputs, padded(layer.outputs))
    }

    /// Some groups of a layer, each `[N, rows, outputs]`.
    pub fn linear_split(
        &mut self,
        step: &str,
        input: &Input,
        layer: &Linear,
        groups: std::ops::Range<usize>,
    ) -> Vec<Value> {
        let (outputs, stride) = (layer.outputs as i64, padded(layer.outputs) as i64);
        let count = groups.len() as i64;
        let y = self.linear_groups(step, input, layer, groups);
        (0..count)
            .map(|group| match count == 1 && outputs == stride {
                true => y.clone(),
                false => self.slice(&format!("{step}/{group}"), &y, -1, group * stride, group * stride + outputs, 1),
            })
            .collect()
    }

    /// Some groups of a layer side by side, padding included.
    fn linear_groups(&mut self, step: &str, input: &Input, layer: &Linear, groups: std::ops::Range<usize>) -> Value {
        let stride = padded(layer.outputs);
        let whole = groups == (0..layer.groups);
        let mut part = |name: &str, x: &Value| match whole {
            true => x.clone(),
            false => {
                let [start, end] = [groups.start, groups.end].map(|group| (group * stride) as i64);
                self.slice(&format!("{step}/{name}"), x, -1, start, end, 1)
            }
        };
        let matrix = part("matrix", &layer.matrix);
        let bias = layer.bias.as_ref().map(|bias| part("bias_part", bias));
        let integer = layer.integer.as_ref().map(|i| (part("scale_part", &i.scale), part("zero_part", &i.zero)));
        let y = match (input, integer) {
            (Input::Quantised(x), Some((scale, zero))) => {
                // The offset of 128 is subtracted here and not given as a zero point: onnxruntime would take that for a
                // product with one scale for all rows and fuse it, dropping all scales but the first.
                let sums = self.node("MatMulInteger", &format!("{step}/sums"), &[&x.rows, &matrix]);
                let centred = self.node("Sub", &format!("{step}/centred"), &[&sums, &zero]);
                let floats = self.cast(&format!("{step}/floats"), &centred, ElementType::F32);
                let scales = self.node("Mul", &format!("{step}/scales"), &[&x.scale, &scale]);
                self.node("Mul", &format!("{step}/product"), &[&floats, &scales])
            }
            (Input::Float(x) | Input::Quantised(QuantisedRows { rows: x, .. }), _) => {
                self.node("MatMul", &format!("{step}/product"), &[x, &matrix])
            }
        };
        match bias {
            Some(bias) => self.node("Add", &format!("{step}/sum"), &[&y, &bias]),
            None => y,
        }
    }
}

/// Rows of the matrix before padding inputs are cut off.
fn dims_inputs(precision: Precision, inputs: usize) -> i64 {
    let padded = if precision == Precision::I8 { inputs.next_multiple_of(GROUP) } else { inputs };
    padded as i64
}

/// A layer's initializers as they are written. The weight comes first and leaves the vectors behind, so that it is read
/// only once.
struct Layer<'a> {
    spec: LinearSpec<'a>,
    vectors: OnceCell<Vectors>,
}

/// Vectors of all groups, as bytes.
#[derive(Default)]
struct Vectors {
    bias: Vec<u8>,
    scale: Vec<u8>,
    zero: Vec<u8>,
}

impl Layer<'_> {
    fn write(&self, out: &mut dyn Write) -> Result<(), edgelip::onnx::BoxError> {
        let vectors = self.make(out)?;
        // A second writing makes the same vectors.
        let _ = self.vectors.set(vectors);
        Ok(())
    }

    fn vectors(&self) -> Result<&Vectors, edgelip::onnx::BoxError> {
        if self.vectors.get().is_none() {
            self.write(&mut std::io::sink())?;
        }
        self.vectors.get().ok_or_else(|| "the weight was not written".into())
    }

    fn make(&self, out: &mut dyn Write) -> Result<Vectors, edgelip::onnx::BoxError> {
        let LinearSpec { name, inputs, outputs, precision, .. } = &self.spec;
        let mut vectors = Vectors::default();
        for load in &self.spec.groups {
            let Folded { weight, mut bias } = load()?;
            if weight.len() != inputs * outputs || bias.len() != *outputs {
                return Err(format!("`{name}` does not have {outputs} outputs of {inputs} inputs").into());
            }
            if let Some(output) = weight.chunks_exact(*inputs).position(|row| !row.iter().all(|w| w.is_finite())) {
                return Err(format!("a weight of output {output} is not finite").into());
            }
            match precision {
                Precision::F32 => write_f32(&weight, *inputs, out)?,
                Precision::F16 => write_f16(&weight, *inputs, out)?,
                Precision::I8 => {
                    let quantised = quantise(&weight, *inputs);
                    write_i8(&quantised.weight, *inputs, out)?;
                    vectors.scale.extend(quantised.scale.iter().flat_map(|value| value.to_le_bytes()));
                    vectors.zero.extend(quantised.zero.iter().flat_map(|value| value.to_le_bytes()));
                }
            }
            bias.resize(padded(*outputs), 0.0);
            vectors.bias.extend(bias.iter().flat_map(|value| value.to_le_bytes()));
        }
        Ok(vectors)
    }
}
