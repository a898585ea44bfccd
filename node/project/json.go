package project

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sort"
)

// jsonReader reads JSON into nodes. encoding/json alone forgets where values
// stood and which keys came twice.
type jsonReader struct {
	decoder *json.Decoder
	breaks  []int // offsets of the newlines
}

// readJSON returns the one value of src.
func readJSON(src []byte, faults *collector) *node {
	r := &jsonReader{decoder: json.NewDecoder(bytes.NewReader(src))}
	r.decoder.UseNumber()
	for i, b := range src {
		if b == '\n' {
			r.breaks = append(r.breaks, i)
		}
	}
	n, err := r.value(0)
	if err == nil {
		if _, more := r.decoder.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("there is more after the value")
		}
	}
	if err != nil {
		offset := r.decoder.InputOffset()
		// The decoder of tokens is vague about where; that of values is not.
		if syntax := (*json.SyntaxError)(nil); errors.As(json.Unmarshal(src, new(any)), &syntax) {
			offset = syntax.Offset
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err, offset = errors.New("the file ends in the middle of a value"), int64(len(src))
		}
		faults.add(place{line: r.lineOf(offset)}, "correct the JSON there", "not JSON: %v", err)
		return nil
	}
	return n
}

// lineOf returns the line of what ends at offset.
func (r *jsonReader) lineOf(offset int64) int {
	return sort.SearchInts(r.breaks, max(int(offset)-1, 0)) + 1
}

func (r *jsonReader) value(depth int) (*node, error) {
	if depth > maxNesting {
		return nil, fmt.Errorf("nested more than %d deep", maxNesting)
	}
	token, err := r.decoder.Token()
	if err != nil {
		return nil, err
	}
	n := &node{line: r.lineOf(r.decoder.InputOffset())}
	switch t := token.(type) {
	case json.Delim:
		if t == '[' {
			return n, r.list(n, depth)
		}
		return n, r.mapping(n, depth)
	case string:
		n.kind, n.text = text, t
	case json.Number:
		n.kind, n.text = number, t.String()
	case bool:
		n.kind, n.text = boolean, fmt.Sprint(t)
	}
	return n, nil
}

func (r *jsonReader) list(n *node, depth int) error {
	n.kind = list
	for r.decoder.More() {
		item, err := r.value(depth + 1)
		if err != nil {
			return err
		}
		n.items = append(n.items, item)
	}
	_, err := r.decoder.Token()
	return err
}

func (r *jsonReader) mapping(n *node, depth int) error {
	n.kind = mapping
	for r.decoder.More() {
		key, err := r.decoder.Token()
		if err != nil {
			return err
		}
		line := r.lineOf(r.decoder.InputOffset())
		value, err := r.value(depth + 1)
		if err != nil {
			return err
		}
		n.pairs = append(n.pairs, pair{key: fmt.Sprint(key), line: line, value: value})
	}
	_, err := r.decoder.Token()
	return err
}
