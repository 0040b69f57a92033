//! Reading weights from text, by recursive descent, with the parser of regions.

use super::{Edges, Line, Sign, Term, Weights, WeightsError};
use crate::nearest::did_you_mean;
use crate::region::parse::{MAX_TEXT, Parser};
use crate::region::{Index, RegionError, Segment};

/// Both grammars share their characters; what is wrong is said of the text it stands in.
fn of_weights(error: RegionError) -> WeightsError {
    match error {
        RegionError::Syntax { what, at, text } => WeightsError::Syntax { what, at, text },
        other => WeightsError::Region(other),
    }
}

impl Parser<'_> {
    fn weights(&mut self) -> Result<Weights, RegionError> {
        let mut terms = vec![(Sign::Plus, self.weights_term()?)];
        loop {
            let sign = if self.eat(b'+') {
                Sign::Plus
            } else if self.eat(b'-') {
                Sign::Minus
            } else {
                return Ok(Weights(terms));
            };
            terms.push((sign, self.weights_term()?));
        }
    }

    fn weights_term(&mut self) -> Result<Term, RegionError> {
        self.skip_space();
        let start = self.at;
        let first = self.peek();
        if !first.is_some_and(|c| c == b'*' || c == b'_' || c.is_ascii_alphanumeric()) {
            return self
                .fail("expected a tensor, a name or \"owned(\", \"in(\", \"out(\", \"row(\", \"column(\"");
        }
        let mut pattern = vec![self.segment()?];
        if self.peek() == Some(b'(') {
            return self.call(start, &pattern[0]);
        }
        while self.peek() == Some(b'.') {
            self.at += 1;
            pattern.push(self.segment()?);
        }
        let at = if self.eat(b'[') { Some(self.entry()?) } else { None };
        Ok(Term::Tensors { pattern, at })
    }

    /// The row and the column after "[".
    fn entry(&mut self) -> Result<[Index; 2], RegionError> {
        let row = self.line()?;
        if !self.eat(b',') {
            return self
                .fail("expected \",\" and a column: an entry is [row,column], and a vector has one row, 0,");
        }
        let column = self.line()?;
        if !self.eat(b']') {
            return self.fail("expected \"]\"");
        }
        Ok([row, column])
    }

    fn line(&mut self) -> Result<Index, RegionError> {
        if self.eat(b'*') { Ok(Index::Span(None, None)) } else { self.one_index() }
    }

    /// What stands between the brackets after `word`, which begins at `start`.
    fn call(&mut self, start: usize, word: &Segment) -> Result<Term, RegionError> {
        let word = word.to_string();
        let edges = Edges::ALL.iter().find(|(name, _)| *name == word);
        let line = Line::ALL.iter().find(|(name, _)| *name == word);
        if edges.is_none() && line.is_none() {
            self.at = start;
            let words = Edges::ALL.iter().map(|e| e.0).chain(Line::ALL.iter().map(|l| l.0));
            return self.fail(format!("nothing is called {word:?}{}", did_you_mean(&word, words)));
        }
        self.deeper()?;
        self.at += 1;
        let term = match (edges, line) {
            (Some((_, edges)), _) => Term::Units(*edges, self.region()?),
            (_, Some((_, line))) => Term::Lines(*line, Box::new(self.weights()?)),
            (None, None) => return self.fail("expected a term"),
        };
        if !self.eat(b')') {
            return self.fail("expected \")\"");
        }
        self.shallower();
        Ok(term)
    }
}

impl std::str::FromStr for Weights {
    type Err = WeightsError;

    fn from_str(text: &str) -> Result<Weights, WeightsError> {
        let mut p = Parser::new(text);
        let read = |p: &mut Parser<'_>| {
            if text.len() > MAX_TEXT {
                return p.fail(format!("longer than {MAX_TEXT} bytes"));
            }
            let weights = p.weights()?;
            p.skip_space();
            if p.at != text.len() {
                return p.fail("expected \"+\", \"-\" or the end");
            }
            // As for a region: what cannot be read again once printed is not accepted.
            if weights.to_string().len() > MAX_TEXT {
                p.at = 0;
                return p.fail(format!("longer than {MAX_TEXT} bytes once printed"));
            }
            Ok(weights)
        };
        read(&mut p).map_err(of_weights)
    }
}
