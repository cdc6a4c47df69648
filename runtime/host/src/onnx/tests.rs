use edgelip_runtime::onnx::File;

use super::*;

fn info(name: &str, element: ElementType, dims: &[u64]) -> ValueInfo {
    let shape = std::iter::once(Dim::Symbol("N".into())).chain(dims.iter().map(|&dim| Dim::Fixed(dim))).collect();
    ValueInfo { name: name.into(), element, shape }
}

fn bytes(name: &str, element: ElementType, dims: &[u64]) -> Initializer<'static> {
    let mut initializer =
        Initializer { name: name.into(), element, dims: dims.to_vec(), payload: Payload::Owned(Vec::new()) };
    initializer.payload = Payload::Owned((0..initializer.byte_len()).map(|i| i as u8).collect());
    initializer
}

/// `image_embeds = pixel_values · weight`, with two more initializers.
fn tower() -> OnnxModel<'static> {
    let node = Node {
        op_type: "MatMul",
        name: "vision/embed".into(),
        inputs: vec!["pixel_values".into(), "weight".into()],
        outputs: vec!["image_embeds".into()],
        attributes: Vec::new(),
    };
    let mut weight = bytes("weight", ElementType::F32, &[3, 8]);
    weight.payload = Payload::Stream(Box::new(|out| {
        for value in 0..24 {
            out.write_all(&(value as f32).to_le_bytes())?;
        }
        Ok(())
    }));
    OnnxModel {
        producer_name: "edgelip".into(),
        producer_version: "0".into(),
        name: "vision".into(),
        metadata: vec![("edgelip.format".into(), "1".into())],
        inputs: vec![info("pixel_values", ElementType::F32, &[3])],
        outputs: vec![info("image_embeds", ElementType::F32, &[8])],
        nodes: vec![node.encode()],
        initializers: vec![
            bytes("small", ElementType::I64, &[1]),
            weight,
            bytes("long", ElementType::F16, &[5, 7, 11]),
        ],
    }
}

fn written(model: &OnnxModel<'_>) -> Vec<u8> {
    let mut file = Vec::new();
    model.write(&mut file).unwrap();
    assert_eq!(file.len() as u64, model.byte_len().unwrap());
    file
}

fn check_alignment(file: &[u8]) {
    for tensor in File::parse(file).unwrap().initializers() {
        let offset = tensor.raw.as_ptr() as usize - file.as_ptr() as usize;
        let size = ElementType::from_number(tensor.data_type as u64).unwrap().size() as usize;
        let alignment = if tensor.raw.len() >= 64 { 64 } else { size };
        assert_eq!(offset % alignment, 0, "{}", tensor.name);
    }
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|i| format!("label {i}")).collect()
}

#[test]
fn payloads_are_aligned_whatever_comes_before() {
    for length in 0..300 {
        let mut model = tower();
        model.name = "n".repeat(length);
        check_alignment(&written(&model));
    }
}

#[test]
fn lengths_near_a_power_of_128_lay_out() {
    for middle in [1u64 << 7, 1 << 14, 1 << 21] {
        for length in middle.saturating_sub(250)..middle + 30 {
            let model =
                OnnxModel { initializers: vec![bytes("x", ElementType::U8, &[length])], ..OnnxModel::default() };
            let file = written(&model);
            check_alignment(&file);
            assert_eq!(written(&OnnxModel::read(&file).unwrap()), file, "{length}");
        }
    }
}

#[test]
fn reading_and_writing_gives_the_same_bytes() {
    let file = written(&tower());
    assert_eq!(written(&OnnxModel::read(&file).unwrap()), file);
}

#[test]
fn labels_are_attached_replaced_and_kept_apart() {
    let plain = written(&tower());
    let mut model = OnnxModel::read(&plain).unwrap();
    attach_labels(&mut model, &names(2), &[0.5; 16], 8, 100.0, 0.0, &["a photo of a {}.".into()]).unwrap();
    let first = written(&model);
    check_alignment(&first);
    let mut model = OnnxModel::read(&first).unwrap();
    attach_labels(&mut model, &names(3), &[0.25; 24], 8, 10.0, -1.0, &["{}".into(), "a {}".into()]).unwrap();
    let second = written(&model);
    check_alignment(&second);
    let file = File::parse(&second).unwrap();
    assert_eq!(file.metadata("edgelip.labels"), Some("label 0\nlabel 1\nlabel 2"));
    assert_eq!(file.metadata("edgelip.template"), Some("{}\na {}"));
    assert_eq!(file.initializers().filter(|tensor| tensor.name.starts_with("labels.")).count(), 3);
    assert_eq!(file.initializer("labels.weight").unwrap().dims(), [3, 8]);
    assert_eq!(file.initializer("labels.bias").unwrap().raw, (-1f32).to_le_bytes());
    let model = OnnxModel::read(&second).unwrap();
    assert_eq!((model.nodes.len(), model.outputs.len()), (5, 2));
    assert_eq!(model.outputs[1], info("logits_per_image", ElementType::F32, &[3]));
}

#[test]
fn rows_of_a_classifier_bring_biases() {
    let plain = written(&tower());
    let mut model = OnnxModel::read(&plain).unwrap();
    assert!(attach_classifier(&mut model, &names(2), &[0.5; 16], 8, &[1.0]).is_err());
    assert!(attach_classifier(&mut model, &names(1), &[0.5; 8], 8, &[f32::NAN]).is_err());
    assert_eq!(written(&model), plain);
    attach_classifier(&mut model, &names(2), &[0.5; 16], 8, &[1.0, -2.0]).unwrap();
    let bytes = written(&model);
    let file = File::parse(&bytes).unwrap();
    assert_eq!(file.initializer("labels.bias").unwrap().dims(), [2]);
    assert_eq!((file.metadata("edgelip.logit_scale"), file.metadata("edgelip.logit_bias")), (Some("1"), Some("0")));
    assert_eq!(file.metadata("edgelip.template"), Some(""));
}

#[test]
fn unfit_labels_change_nothing() {
    let file = written(&tower());
    let mut model = OnnxModel::read(&file).unwrap();
    let mut attach = |names: &[&str], values: &[f32], width| {
        let names: Vec<String> = names.iter().map(|&name| name.into()).collect();
        attach_labels(&mut model, &names, values, width, 1.0, 0.0, &[]).unwrap_err().to_string()
    };
    assert!(attach(&["a\nb"], &[0.0; 8], 8).contains("line break"));
    assert!(attach(&[], &[], 8).contains("none"));
    assert!(attach(&["a", " "], &[0.0; 16], 8).contains("empty"));
    assert!(attach(&["a"], &[0.0; 7], 8).contains("7 values"));
    assert!(attach(&["a"], &[0.0; 4], 4).contains("the model's 8"));
    assert!(attach(&["a"], &[f32::NAN; 8], 8).contains("finite"));
    assert_eq!(written(&model), file);
}

#[test]
fn wrong_payloads_are_refused() {
    let mut model = tower();
    model.initializers[0].payload = Payload::Owned(vec![0; 7]);
    assert!(matches!(model.write(&mut Vec::new()), Err(Error::PayloadLength { declared: 8, given: 7, .. })));
    for given in [4, 12] {
        model.initializers[0].payload = Payload::Stream(Box::new(move |out| Ok(out.write_all(&vec![0; given])?)));
        let error = model.write(&mut Vec::new()).unwrap_err();
        assert!(matches!(error, Error::PayloadLength { declared: 8, given: g, .. } if g == given as u64), "{error}");
    }
    model.initializers[0].payload = Payload::Stream(Box::new(|_| Err("no such tensor".into())));
    assert_eq!(model.write(&mut Vec::new()).unwrap_err().to_string(), "initializer `small`: no such tensor");
    model.initializers[0].dims = vec![1 << 62, 1 << 62];
    assert!(matches!(model.write(&mut Vec::new()), Err(Error::TooLarge(_))));
}

#[test]
fn damaged_files_are_errors() {
    let file = written(&tower());
    for end in 0..file.len() {
        assert!(OnnxModel::read(&file[..end]).is_err(), "{end}");
    }
    for at in 0..file.len() {
        for bit in 0..8 {
            let mut damaged = file.clone();
            damaged[at] ^= 1 << bit;
            if let Ok(model) = OnnxModel::read(&damaged) {
                let _ = model.write(&mut std::io::sink());
            }
        }
    }
}

#[cfg(feature = "tract")]
#[test]
fn prost_reads_what_was_written() {
    use tract_onnx::pb::tensor_shape_proto::dimension::Value;
    use tract_onnx::prelude::Framework;
    let mut model = tower();
    attach_labels(&mut model, &names(2), &[0.5; 16], 8, 100.0, 0.0, &[]).unwrap();
    let file = written(&model);
    let proto = tract_onnx::onnx().proto_model_for_read(&mut &file[..]).unwrap();
    assert_eq!((proto.ir_version, proto.opset_import[0].version), (8, 17));
    assert_eq!(proto.metadata_props[0].key, "edgelip.format");
    let graph = proto.graph.unwrap();
    assert_eq!(graph.node.len(), 5);
    assert_eq!((graph.node[0].name.as_str(), graph.node[0].op_type.as_str()), ("vision/embed", "MatMul"));
    assert_eq!(graph.node[1].attribute[0].ints, [1, 0]);
    let Some(tract_onnx::pb::type_proto::Value::TensorType(output)) = &graph.output[1].r#type.as_ref().unwrap().value
    else {
        panic!("no tensor");
    };
    let dims: Vec<_> = output.shape.as_ref().unwrap().dim.iter().map(|dim| dim.value.clone().unwrap()).collect();
    assert_eq!(dims, [Value::DimParam("N".into()), Value::DimValue(2)]);
    let weight = &graph.initializer[1];
    assert_eq!((weight.name.as_str(), &weight.dims[..], weight.raw_data[7]), ("weight", &[3, 8][..], 0x3f));
}
