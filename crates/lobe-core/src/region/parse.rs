//! Reading a region from text, by recursive descent.

use super::{Index, Region, RegionError, Segment};

/// Longest accepted region text, in bytes.
pub(crate) const MAX_TEXT: usize = 4096;
/// Deepest accepted nesting of parentheses and complements.
const MAX_DEPTH: usize = 64;

/// A place in a text. The text of weights holds regions and is read by the same one.
pub(crate) struct Parser<'a> {
    pub(crate) text: &'a str,
    pub(crate) at: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    pub(crate) fn new(text: &'a str) -> Parser<'a> {
        Parser { text, at: 0, depth: 0 }
    }
    pub(crate) fn fail<T>(&self, what: impl Into<String>) -> Result<T, RegionError> {
        let at = self.text[..self.at.min(self.text.len())].chars().count() + 1;
        Err(RegionError::Syntax { what: what.into(), at, text: self.text.chars().take(200).collect() })
    }
    pub(crate) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }
    pub(crate) fn skip_space(&mut self) {
        while self.peek().is_some_and(|c| c.is_ascii_whitespace()) {
            self.at += 1;
        }
    }
    pub(crate) fn eat(&mut self, c: u8) -> bool {
        self.skip_space();
        let hit = self.peek() == Some(c);
        self.at += usize::from(hit);
        hit
    }
    pub(crate) fn region(&mut self) -> Result<Region, RegionError> {
        let mut left = self.term()?;
        loop {
            if self.eat(b'+') {
                left = Region::Union(Box::new(left), Box::new(self.term()?));
            } else if self.eat(b'-') {
                left = Region::Difference(Box::new(left), Box::new(self.term()?));
            } else {
                return Ok(left);
            }
        }
    }
    /// One level further in; whoever calls it takes one off `depth` in the end.
    pub(crate) fn deeper(&mut self) -> Result<(), RegionError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH { self.fail("nesting too deep") } else { Ok(()) }
    }
    pub(crate) fn shallower(&mut self) {
        self.depth -= 1;
    }
    fn term(&mut self) -> Result<Region, RegionError> {
        self.deeper()?;
        let out = if self.eat(b'!') {
            Region::Complement(Box::new(self.term()?))
        } else if self.eat(b'(') {
            let inner = self.region()?;
            if !self.eat(b')') {
                return self.fail("expected \")\"");
            }
            inner
        } else {
            self.sites()?
        };
        self.shallower();
        Ok(out)
    }
    fn sites(&mut self) -> Result<Region, RegionError> {
        let mut pattern = vec![self.segment()?];
        while self.peek() == Some(b'.') {
            self.at += 1;
            pattern.push(self.segment()?);
        }
        let mut indices = None;
        if self.eat(b'[') {
            let mut list = vec![self.one_index()?];
            while self.eat(b',') {
                list.push(self.one_index()?);
            }
            if !self.eat(b']') {
                return self.fail("expected \",\" or \"]\"");
            }
            indices = Some(list);
        }
        Ok(Region::Sites { pattern, indices })
    }
    fn digits(&mut self) -> Option<u32> {
        let start = self.at;
        while self.peek().is_some_and(|c| c.is_ascii_digit()) {
            self.at += 1;
        }
        self.text[start..self.at].parse().ok()
    }
    pub(crate) fn segment(&mut self) -> Result<Segment, RegionError> {
        self.skip_space();
        match self.peek() {
            Some(b'*') => {
                self.at += 1;
                Ok(Segment::Any)
            }
            Some(c) if c.is_ascii_digit() => {
                let Some(from) = self.digits() else { return self.fail("number too large") };
                // "0-4" is a range of numbers; "0 - x" is a difference.
                let next_is_digit = self.text.as_bytes().get(self.at + 1).is_some_and(u8::is_ascii_digit);
                if self.peek() == Some(b'-') && next_is_digit {
                    self.at += 1;
                    let Some(to) = self.digits() else { return self.fail("number too large") };
                    if to < from {
                        return self.fail("range runs backwards");
                    }
                    return Ok(Segment::Numbers(from, to));
                }
                Ok(Segment::Numbers(from, from))
            }
            Some(c) if c.is_ascii_alphabetic() || c == b'_' => {
                let start = self.at;
                while self.peek().is_some_and(|c| c.is_ascii_alphanumeric() || c == b'_') {
                    self.at += 1;
                }
                Ok(Segment::Word(self.text[start..self.at].to_owned()))
            }
            _ => self.fail("expected a site name, \"*\", \"!\" or \"(\""),
        }
    }
    fn number(&mut self) -> Result<Option<i64>, RegionError> {
        self.skip_space();
        let negative = self.peek() == Some(b'-');
        self.at += usize::from(negative);
        if !self.peek().is_some_and(|c| c.is_ascii_digit()) {
            return if negative { self.fail("expected a number after \"-\"") } else { Ok(None) };
        }
        let Some(n) = self.digits() else { return self.fail("number too large") };
        Ok(Some(if negative { -i64::from(n) } else { i64::from(n) }))
    }
    pub(crate) fn one_index(&mut self) -> Result<Index, RegionError> {
        let from = self.number()?;
        self.skip_space();
        if self.text[self.at..].starts_with("..") {
            self.at += 2;
            return Ok(Index::Span(from, self.number()?));
        }
        if self.peek() == Some(b':') {
            // Python's slices are what most people would write here.
            let at = self.at;
            self.at += 1;
            let written = Index::Span(from, self.number()?).to_string();
            self.at = at;
            return self.fail(format!("write [{written}], not [{}],", written.replace("..", ":")));
        }
        match from {
            Some(n) => Ok(Index::One(n)),
            None => self.fail("expected an index"),
        }
    }
}

impl std::str::FromStr for Region {
    type Err = RegionError;

    fn from_str(text: &str) -> Result<Region, RegionError> {
        let mut p = Parser::new(text);
        if text.len() > MAX_TEXT {
            return p.fail(format!("longer than {MAX_TEXT} bytes"));
        }
        let region = p.region()?;
        p.skip_space();
        if p.at != text.len() {
            return p.fail("expected \"+\", \"-\" or the end");
        }
        // Printing adds spaces; what cannot be read again is not accepted in the first place.
        if region.to_string().len() > MAX_TEXT {
            p.at = 0;
            return p.fail(format!("longer than {MAX_TEXT} bytes once printed"));
        }
        Ok(region)
    }
}
