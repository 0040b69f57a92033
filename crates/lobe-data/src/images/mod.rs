//! `images`: IDX files (MNIST and its kin), CIFAR binary files, and generated `glyphs`.

mod cifar;
mod glyphs;
mod idx;

use std::path::Path;

use lobe_core::Key;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::dataset::{Dataset, Examples, Payload};
use crate::error::{DataError, Result};
use crate::source::{DataSource, SourceEntry};
use crate::{file, memory};

pub(crate) use glyphs::ENTRY as GLYPHS;
pub use glyphs::GlyphsConfig;

/// What a byte from 0 to 255 becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Pixels {
    /// 0 to 1.
    #[default]
    Unit,
    /// −1 to 1.
    Signed,
}

impl Pixels {
    /// `x` in [0, 1], scaled.
    pub(crate) fn scale(self, x: f32) -> f32 {
        match self {
            Pixels::Unit => x,
            Pixels::Signed => 2.0 * x - 1.0,
        }
    }
}

/// Images in the IDX layout, gzipped or not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct IdxConfig {
    /// The folder of the four files below. Example: `folder = "mnist"`.
    pub folder: String,
    /// Training images. Of this and the others, `NAME.gz` is read where there is no `NAME`, and
    /// `train-images.idx3-ubyte`, as some archives write it, where there is no `train-images-idx3-ubyte`.
    pub train_images: String,
    /// Training labels.
    pub train_labels: String,
    /// Test images.
    pub test_images: String,
    /// Test labels.
    pub test_labels: String,
    /// What the numbers become.
    pub pixels: Pixels,
    /// Use at most this many training images.
    pub max_train: Option<usize>,
    /// Use at most this many test images.
    pub max_test: Option<usize>,
    /// Names of the classes. Default: their numbers.
    pub classes: Vec<String>,
    /// Content accepted from one file, after decompression.
    pub max_bytes: u64,
}

impl Default for IdxConfig {
    fn default() -> Self {
        IdxConfig {
            folder: String::new(),
            train_images: "train-images-idx3-ubyte".into(),
            train_labels: "train-labels-idx1-ubyte".into(),
            test_images: "t10k-images-idx3-ubyte".into(),
            test_labels: "t10k-labels-idx1-ubyte".into(),
            pixels: Pixels::Unit,
            max_train: None,
            max_test: None,
            classes: Vec::new(),
            max_bytes: file::MAX_BYTES,
        }
    }
}

/// Images in the CIFAR binary layout, gzipped or not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CifarConfig {
    /// Training files, in order. Example: `train = ["data_batch_1.bin", "data_batch_2.bin"]`.
    pub train: Vec<String>,
    /// Test files, in order. Example: `test = ["test_batch.bin"]`.
    pub test: Vec<String>,
    /// Layout of a record.
    #[serde(default)]
    pub layout: CifarLayout,
    /// What the numbers become.
    #[serde(default)]
    pub pixels: Pixels,
    /// Use at most this many training images.
    #[serde(default)]
    pub max_train: Option<usize>,
    /// Use at most this many test images.
    #[serde(default)]
    pub max_test: Option<usize>,
    /// Names of the classes. Default: CIFAR-10's names, or numbers.
    #[serde(default)]
    pub classes: Vec<String>,
    /// Content accepted from one file, after decompression.
    #[serde(default = "max_bytes")]
    pub max_bytes: u64,
}

fn max_bytes() -> u64 {
    file::MAX_BYTES
}

/// Layout of a CIFAR record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CifarLayout {
    /// One label byte, 3072 pixels.
    #[default]
    Cifar10,
    /// A coarse and a fine label byte, 3072 pixels; classes are the 100 fine ones.
    Cifar100,
}

/// Bytes of images with their labels, before scaling.
#[derive(Debug, Default)]
pub(crate) struct Raw {
    pub(crate) shape: (usize, usize, usize),
    pub(crate) pixels: Vec<u8>,
    pub(crate) class: Vec<u8>,
}

impl Raw {
    /// How many of the images are used.
    fn kept(&self, most: Option<usize>) -> usize {
        self.class.len().min(most.unwrap_or(usize::MAX))
    }

    fn examples(&self, scale: Pixels, most: Option<usize>) -> Examples {
        let n = self.kept(most);
        let dim = self.shape.0 * self.shape.1 * self.shape.2;
        let pixels = self.pixels[..n * dim].iter().map(|&b| scale.scale(f32::from(b) / 255.0)).collect();
        let class = self.class[..n].iter().map(|&c| u16::from(c)).collect();
        let payload = Payload::Rows { width: dim, values: pixels, wanted: None, image: Some(self.shape) };
        Examples { payload, class }
    }
}

/// Refuses images that memory cannot hold as numbers, while they are bytes.
fn fits(source: &str, splits: [(&Raw, Option<usize>); 2], available: Option<u64>) -> Result<()> {
    let (c, h, w) = splits[0].0.shape;
    let count: usize = splits.iter().map(|(raw, most)| raw.kept(*most)).sum();
    let what = format!("{source}: {count} images of {c} x {h} x {w}");
    memory::fits(&what, (count * c * h * w) as u64, available, "max_train and max_test take fewer of them")
}

/// The given names, padded with numbers up to `n`.
fn names(given: &[String], n: usize) -> Vec<String> {
    (0..n.max(given.len())).map(|i| given.get(i).cloned().unwrap_or_else(|| i.to_string())).collect()
}

impl DataSource for IdxConfig {
    fn load(&self, dir: &Path, _: Key) -> Result<Dataset> {
        IdxConfig::load(self, dir)
    }
}

/// The registered source.
pub(crate) const IDX: SourceEntry =
    SourceEntry::of::<IdxConfig>("idx", "images in the IDX layout of MNIST").from_files();

impl IdxConfig {
    /// Loads the data set; relative paths start at `dir`.
    ///
    /// # Errors
    /// One line for a missing or damaged file, a wrong magic number, a size that does not fit
    /// the file, or images and labels that do not fit each other.
    pub fn load(&self, dir: &Path) -> Result<Dataset> {
        let find = |name: &str| {
            let at = |name: &str| Path::new(&self.folder).join(name).to_string_lossy().into_owned();
            let (given, dotted, dashed) =
                (at(name), at(&name.replace("-idx", ".idx")), at(&name.replace(".idx", "-idx")));
            let names = [&given, &dotted, &dashed].into_iter().flat_map(|n| [n.clone(), format!("{n}.gz")]);
            let found = names.into_iter().find(|n| dir.join(n).exists());
            found.unwrap_or(given)
        };
        let pair = |images: &str, labels: &str| -> Result<Raw> {
            let (images, labels) = (&find(images), &find(labels));
            let mut raw = idx::images(file::read(dir, images, "images", self.max_bytes)?, images)?;
            raw.class = idx::labels(file::read(dir, labels, "labels", self.max_bytes)?, labels)?;
            let n = raw.pixels.len() / (raw.shape.1 * raw.shape.2);
            if raw.class.len() != n {
                let what = format!("{} labels for the {n} images of {images}", raw.class.len());
                return Err(DataError::Format { format: "idx", what, path: labels.clone() });
            }
            Ok(raw)
        };
        let train = pair(&self.train_images, &self.train_labels)?;
        let test = pair(&self.test_images, &self.test_labels)?;
        if train.shape != test.shape {
            let what = format!("images of {:?}, but the training images are {:?}", test.shape, train.shape);
            return Err(DataError::Format { format: "idx", what, path: self.test_images.clone() });
        }
        fits("idx", [(&train, self.max_train), (&test, self.max_test)], memory::available())?;
        let classes = train.class.iter().chain(&test.class).max().map_or(0, |&c| c as usize + 1);
        let (train, test) =
            (train.examples(self.pixels, self.max_train), test.examples(self.pixels, self.max_test));
        Dataset::new("idx", train, test, names(&self.classes, classes), None, Vec::new())
    }
}

/// Entry point for fuzzing: reads any bytes as each of the binary layouts.
///
/// # Panics
/// If what is read does not have the size that its header says.
pub fn fuzz_images(bytes: &[u8]) {
    if let Ok(raw) = idx::images(bytes.to_vec(), "fuzz") {
        let (_, h, w) = raw.shape;
        assert!(h * w > 0 && raw.pixels.len().is_multiple_of(h * w), "whole images");
    }
    if let Ok(labels) = idx::labels(bytes.to_vec(), "fuzz") {
        assert_eq!(labels.len(), bytes.len() - 8);
    }
    for layout in [CifarLayout::Cifar10, CifarLayout::Cifar100] {
        let mut raw = Raw { shape: (3, 32, 32), ..Raw::default() };
        if cifar::append(bytes, layout, "fuzz", &mut raw).is_ok() {
            assert_eq!(raw.pixels.len(), raw.class.len() * 3072);
        }
    }
}

impl DataSource for CifarConfig {
    fn load(&self, dir: &Path, _: Key) -> Result<Dataset> {
        CifarConfig::load(self, dir)
    }
}

/// The registered source.
pub(crate) const CIFAR: SourceEntry =
    SourceEntry::of::<CifarConfig>("cifar", "images in the CIFAR-10 or CIFAR-100 binary layout").from_files();

impl CifarConfig {
    /// Loads the data set; relative paths start at `dir`.
    ///
    /// # Errors
    /// One line for a missing or damaged file, a length that is no whole number of records, or
    /// a label out of range.
    pub fn load(&self, dir: &Path) -> Result<Dataset> {
        let all = |files: &[String]| -> Result<Raw> {
            let mut raw = Raw { shape: (3, 32, 32), ..Raw::default() };
            for name in files {
                cifar::append(
                    &file::read(dir, name, "images", self.max_bytes)?,
                    self.layout,
                    name,
                    &mut raw,
                )?;
            }
            Ok(raw)
        };
        let (train, test) = (all(&self.train)?, all(&self.test)?);
        fits("cifar", [(&train, self.max_train), (&test, self.max_test)], memory::available())?;
        let (train, test) =
            (train.examples(self.pixels, self.max_train), test.examples(self.pixels, self.max_test));
        let classes = match (self.layout, self.classes.is_empty()) {
            (CifarLayout::Cifar10, true) => cifar::NAMES.map(String::from).to_vec(),
            (CifarLayout::Cifar10, false) => names(&self.classes, 10),
            (CifarLayout::Cifar100, _) => names(&self.classes, 100),
        };
        Dataset::new("cifar", train, test, classes, None, Vec::new())
    }
}

#[cfg(test)]
mod tests;
