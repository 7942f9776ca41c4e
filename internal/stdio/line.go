package stdio

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// lines reads lines of at most max bytes.
type lines struct {
	r   *bufio.Reader
	max int
}

func newLines(in io.Reader, max int) *lines {
	return &lines{r: bufio.NewReaderSize(in, 64<<10), max: max}
}

// next returns the next line, without its end, in memory of its own. Of a
// line that is too long it returns the beginning and true, and the line after
// it is next. The last line needs no newline. io.EOF comes alone.
func (l *lines) next() (line []byte, long bool, err error) {
	for {
		part, err := l.r.ReadSlice('\n')
		full := errors.Is(err, bufio.ErrBufferFull)
		if err != nil && !full && (err != io.EOF || len(part)+len(line) == 0) {
			return nil, false, err
		}
		if !full {
			part = bytes.TrimSuffix(part, []byte("\n"))
		}
		if room := l.max + 1 - len(line); len(part) > room { // one more for \r
			part, long = part[:room], true
		}
		line = append(line, part...)
		if !full {
			line = bytes.TrimSuffix(line, []byte("\r"))
			return line, long || len(line) > l.max, nil
		}
	}
}
