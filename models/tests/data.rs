//! The three kinds of data sets, with damaged rows.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use edgelip_models::data::{Dataset, Skipped};
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

/// A picture of one colour as PNG.
fn png(colour: [u8; 3]) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image::RgbImage::from_pixel(5, 4, image::Rgb(colour)).write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

fn parquet_file(path: &Path, images: &[Vec<u8>], captions: &[&[&str]], classes: &[Option<&str>]) {
    let schema = "message row {
        required binary image;
        required group captions (LIST) { repeated group list { required binary element (UTF8); } }
        optional binary wnid (UTF8);
    }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let properties = Arc::new(WriterProperties::builder().build());
    let mut file = SerializedFileWriter::new(File::create(path).unwrap(), schema, properties).unwrap();
    let mut group = file.next_row_group().unwrap();
    let bytes = |text: &str| ByteArray::from(text.as_bytes().to_vec());
    for column in 0..3 {
        let mut writer = group.next_column().unwrap().unwrap();
        let typed = writer.typed::<ByteArrayType>();
        match column {
            0 => {
                let values: Vec<_> = images.iter().map(|image| ByteArray::from(image.clone())).collect();
                typed.write_batch(&values, None, None).unwrap();
            }
            1 => {
                let values: Vec<_> = captions.iter().flat_map(|row| row.iter().map(|text| bytes(text))).collect();
                let definition: Vec<i16> =
                    captions.iter().flat_map(|row| if row.is_empty() { vec![0] } else { vec![1; row.len()] }).collect();
                let repetition: Vec<i16> =
                    captions.iter().flat_map(|row| (0..row.len().max(1)).map(|i| i16::from(i > 0))).collect();
                typed.write_batch(&values, Some(&definition), Some(&repetition)).unwrap();
            }
            _ => {
                let values: Vec<_> = classes.iter().flatten().map(|text| bytes(text)).collect();
                let definition: Vec<i16> = classes.iter().map(|class| i16::from(class.is_some())).collect();
                typed.write_batch(&values, Some(&definition), None).unwrap();
            }
        }
        writer.close().unwrap();
    }
    group.close().unwrap();
    file.close().unwrap();
}

#[test]
fn parquet_rows_are_read_and_damaged_ones_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.parquet");
    let mut cut = png([9, 9, 9]);
    cut.truncate(40);
    let images = [png([200, 0, 0]), cut, b"not an image".to_vec(), png([0, 200, 0]), png([0, 0, 200])];
    let captions: [&[&str]; 5] = [&["a red thing", "red"], &["x"], &["y"], &[], &["blue"]];
    parquet_file(&path, &images, &captions, &[None, None, None, None, Some("n1")]);
    let dataset = Dataset::read(&path).unwrap();
    assert_eq!(dataset.skipped, Skipped { rows: 0, images: 2, captions: 1 });
    assert_eq!(dataset.items.len(), 2);
    assert_eq!(dataset.items[0].captions, ["a red thing", "red"]);
    assert_eq!((dataset.items[0].photo.width, dataset.items[0].photo.height), (5, 4));
    assert_eq!(dataset.items[0].photo.pixels[..3], [200, 0, 0]);
    assert_eq!(
        (dataset.items[1].class.as_deref(), dataset.items[1].captions.as_slice()),
        (Some("n1"), ["blue".to_owned()].as_slice())
    );
}

#[test]
fn parquet_that_cannot_be_read_at_all_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.parquet");
    parquet_file(&path, &[png([200, 0, 0])], &[&["red"]], &[None]);
    let start =
        SerializedFileReader::new(File::open(&path).unwrap()).unwrap().metadata().row_group(0).column(0).byte_range().0;
    let mut bytes = fs::read(&path).unwrap();
    bytes[start as usize..][..8].fill(0xff);
    fs::write(&path, bytes).unwrap();
    assert!(Dataset::read(&path).is_err());

    let schema = Arc::new(parse_message_type("message row { required binary image; }").unwrap());
    SerializedFileWriter::new(File::create(&path).unwrap(), schema, Arc::default()).unwrap().close().unwrap();
    let error = Dataset::read(&path).unwrap_err().to_string();
    assert!(error.contains("no column `captions`"), "{error}");
}

#[test]
fn tar_shards_join_members_of_one_stem_and_survive_a_cut() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shard.tar");
    let mut archive = tar::Builder::new(Vec::new());
    let red = png([200, 0, 0]);
    let members: [(&str, &[u8]); 6] = [
        ("a/0001.png", &red),
        ("a/0001.txt", b"a red thing\n"),
        ("a/0002.txt", b"no image"),
        ("a/0003.jpg", b"damaged"),
        ("a/0003.txt", b"z"),
        ("a/0004.png", &red),
    ];
    for (name, bytes) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_cksum();
        archive.append_data(&mut header, name, bytes).unwrap();
    }
    let bytes = archive.into_inner().unwrap();
    File::create(&path).unwrap().write_all(&bytes).unwrap();
    let dataset = Dataset::read(&path).unwrap();
    assert_eq!((dataset.items.len(), dataset.skipped), (1, Skipped { rows: 1, images: 1, captions: 1 }));
    assert_eq!(dataset.items[0].captions, ["a red thing"]);

    fs::write(&path, &bytes[..bytes.len() / 3]).unwrap();
    assert_eq!(Dataset::read(&path).unwrap().items.len(), 1, "what came before the cut is good");
}

#[test]
fn folders_name_their_classes() {
    let folder = tempfile::tempdir().unwrap();
    for (class, file, bytes) in
        [("tabby_cat", "1.png", png([1, 2, 3])), ("dog", "x.png", png([3, 2, 1])), ("dog", "bad.jpg", vec![0; 9])]
    {
        fs::create_dir_all(folder.path().join(class)).unwrap();
        fs::write(folder.path().join(class).join(file), bytes).unwrap();
    }
    fs::write(folder.path().join("dog/notes.md"), "no image").unwrap();
    let dataset = Dataset::read(folder.path()).unwrap();
    let found: Vec<_> =
        dataset.items.iter().map(|item| (item.class.as_deref().unwrap(), item.captions[0].as_str())).collect();
    assert_eq!(found, [("dog", "dog"), ("tabby_cat", "tabby cat")]);
    assert_eq!(dataset.skipped.images, 1);
}

#[test]
fn what_is_no_data_set_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.parquet");
    fs::write(&path, b"PAR1 but not really").unwrap();
    assert!(Dataset::read(&path).is_err());
    assert!(Dataset::read(&folder.path().join("absent.tar")).is_err());
    let error = Dataset::read(&folder.path().join("absent")).unwrap_err().to_string();
    assert!(error.contains("No such file"), "{error}");
    fs::write(folder.path().join("words.txt"), "words").unwrap();
    let error = Dataset::read(&folder.path().join("words.txt")).unwrap_err().to_string();
    assert!(error.contains("neither a folder"), "{error}");
}
