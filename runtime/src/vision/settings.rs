//! What the metadata says of the tower.

use edgelip_kernels::Part;

use crate::Error;
use crate::model::{Guide, Metadata, Readout, invalid};
use crate::plan::{Convolution, MAX_BLOCKS, MAX_STEM, Merge, Plan, Pooling, Stem, VisionShape, Window};

/// Everything that decides which layers there are and what is done with them.
pub(super) struct Settings {
    pub plan: Plan,
    pub guide: Option<Guide>,
    pub readout: Readout,
    /// Whether the tokens are normed in front of the blocks.
    pub pre_norm: bool,
    /// Whether the embedding is scaled to length 1.
    pub unit: bool,
}

impl Settings {
    pub(super) fn read(metadata: &Metadata<'_, '_>) -> Result<Self, Error> {
        let poolings = [
            ("class", Pooling::Class),
            ("pooler", Pooling::Pooler),
            ("mean", Pooling::Mean),
            ("normed_mean", Pooling::NormedMean),
            ("attention", Pooling::Attention),
        ];
        let flag = |key, default: bool| {
            let value =
                metadata.optional(key, |metadata, key| metadata.word(key, &[("true", true), ("false", false)]))?;
            Ok::<_, Error>(value.unwrap_or(default))
        };
        let guide = guide(metadata)?;
        let stem = metadata.optional("edgelip.stem", stem)?;
        let frequency_blocks = metadata.optional("edgelip.frequency_blocks", Metadata::number)?.unwrap_or(0);
        if !cfg!(feature = "mlip") && (stem.is_some() || frequency_blocks > 0 || guide.is_some()) {
            return Err(Error::Feature("mlip"));
        }
        let shape = VisionShape {
            image: metadata.array("edgelip.image")?,
            patch: metadata.number("edgelip.patch")?,
            stem: stem.unwrap_or_default(),
            frequency_blocks,
            width: metadata.number("edgelip.width")?,
            heads: metadata.number("edgelip.heads")?,
            blocks: metadata.number("edgelip.blocks")?,
            mlp: metadata.number("edgelip.mlp")?,
            embedding: metadata.number("edgelip.embedding")?,
            guided: guide.is_some(),
            pooling: metadata.word("edgelip.pooling", &poolings)?,
            unprojected: !flag("edgelip.projection", true)?,
        };
        let readouts = [("spatial", Readout::Spatial), ("joint", Readout::Joint)];
        let readout = metadata.optional("edgelip.readout", |metadata, key| metadata.word(key, &readouts))?;
        let readout = readout.unwrap_or(Readout::Spatial);
        if readout == Readout::Joint && shape.frequency_blocks == 0 {
            return Err(invalid("edgelip.readout"));
        }
        let rules = [("none", Merge::None), ("ward", Merge::Ward), ("tome", Merge::Tome)];
        let mut schedule = [0; MAX_BLOCKS];
        let blocks = metadata.list("edgelip.schedule", &mut schedule)?;
        if blocks != shape.blocks {
            return Err(invalid("edgelip.schedule"));
        }
        let plan = Plan::new(&shape, metadata.word("edgelip.merge", &rules)?, schedule.part(..blocks))?;
        Ok(Settings {
            plan,
            guide,
            readout,
            pre_norm: flag("edgelip.pre_norm", true)?,
            unit: flag("edgelip.unit", true)?,
        })
    }
}

fn stem(metadata: &Metadata<'_, '_>, key: &'static str) -> Result<Stem, Error> {
    let mut widths = [0; MAX_STEM];
    let count = metadata.list(key, &mut widths)?;
    let each = |key, default: usize| {
        let mut values = [default; MAX_STEM];
        match metadata.optional(key, |metadata, key| metadata.list(key, &mut values))? {
            Some(found) if found != count => Err(invalid(key)),
            _ => Ok(values),
        }
    };
    let Window { side, stride, border } = Window::HALVING;
    let sides = each("edgelip.stem_sides", side)?;
    let strides = each("edgelip.stem_strides", stride)?;
    let borders = each("edgelip.stem_borders", border)?;
    let mut layers = [Convolution::halving(0); MAX_STEM];
    for (index, layer) in layers.iter_mut().enumerate() {
        let window = Window { side: sides.at(index), stride: strides.at(index), border: borders.at(index) };
        *layer = Convolution { outputs: widths.at(index), window };
    }
    Stem::new(layers.part(..count))
}

/// The guide, unless it has no strength.
fn guide(metadata: &Metadata<'_, '_>) -> Result<Option<Guide>, Error> {
    let [key, semantic_key] = ["edgelip.guide", "edgelip.guide_semantic"];
    let strength = metadata.optional(key, Metadata::float)?.unwrap_or(0.0);
    if strength < 0.0 {
        return Err(invalid(key));
    }
    if strength == 0.0 {
        return Ok(None);
    }
    let semantic = metadata.float(semantic_key)?;
    if (0.0..=1.0).contains(&semantic) { Ok(Some(Guide { strength, semantic })) } else { Err(invalid(semantic_key)) }
}
