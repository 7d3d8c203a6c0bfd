//! The lines of a watch, however its stream is cut.

/// Cuts a stream of bytes into lines, however they are chunked.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    partial: Vec<u8>,
}

/// A line is longer than [`LINE_MAX`].
#[derive(Debug)]
pub(crate) struct LineTooLong;

impl Lines {
    /// Takes the next piece of the stream in, and hands each line on that has come to its end. Empty ones are left out.
    ///
    /// # Errors
    ///
    /// [`LineTooLong`], after the lines before it; nothing is to be pushed any more then.
    pub(crate) fn push(&mut self, data: &[u8], mut line: impl FnMut(Vec<u8>)) -> Result<(), LineTooLong> {
        let mut rest = data;
        while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
            self.extend(&rest[..end])?;
            rest = &rest[end + 1..];
            let whole = std::mem::take(&mut self.partial);
            if !whole.is_empty() {
                line(whole);
            }
        }
        self.extend(rest)
    }

    fn extend(&mut self, data: &[u8]) -> Result<(), LineTooLong> {
        if self.partial.len() + data.len() > LINE_MAX {
            return Err(LineTooLong);
        }
        self.partial.extend_from_slice(data);
        Ok(())
    }
}

/// etcd stores at most 1.5 MiB an object.
pub(crate) const LINE_MAX: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use leasehold_corpus::Foreign;
    use leasehold_corpus::proptest::prelude::*;

    use super::*;

    /// The lines of a stream that comes in pieces of these sizes, over and over, and whether one was too long.
    fn cut(stream: &[u8], sizes: &[usize]) -> (Vec<Vec<u8>>, bool) {
        let (mut lines, mut seen, mut rest) = (Lines::default(), Vec::new(), stream);
        for size in sizes.iter().cycle() {
            let (piece, next) = rest.split_at(rest.len().min(*size));
            rest = next;
            if lines.push(piece, |line| seen.push(line)).is_err() {
                return (seen, true);
            }
            if rest.is_empty() {
                break;
            }
        }
        (seen, false)
    }

    #[test]
    fn any_chunking_gives_the_same_lines_and_none_is_lost() {
        let stream = prop::collection::vec(prop_oneof![2 => Just(b'\n'), 9 => any::<u8>()], 0..200);
        let sizes = prop::collection::vec(1..40_usize, 1..8);
        leasehold_corpus::check(1_000, (stream.prop_map(Foreign), sizes), |(stream, sizes)| {
            let whole: Vec<_> = stream.0.split(|&byte| byte == b'\n').collect();
            // What follows the last line feed may be half a line.
            let ended = whole[..whole.len() - 1].iter().filter(|line| !line.is_empty());
            let ended: Vec<_> = ended.map(|line| line.to_vec()).collect();
            assert_eq!(cut(&stream.0, &sizes), (ended, false));
        });
    }

    /// It hung on the chunks whether a line was too long: only what was left at the end of one was looked at.
    #[test]
    fn a_line_is_too_long_however_it_comes() {
        let stream = [b"first\n", vec![b'x'; LINE_MAX + 1].as_slice(), b"\nlast\n"].concat();
        for sizes in [[stream.len()], [100_000]] {
            assert_eq!(cut(&stream, &sizes), (vec![b"first".to_vec()], true), "pieces of {sizes:?}");
        }
        let longest = [vec![b'x'; LINE_MAX].as_slice(), b"\n"].concat();
        assert_eq!(cut(&longest, &[100_000]).0.len(), 1);
    }
}
