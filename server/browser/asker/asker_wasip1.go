// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// Command asker is the module by which a page asks a private list. Behind those
// of its door, its calls are:
//
//	list(version, header)             lengths of a version's text and of a header
//	ask(list, password)               a question
//	finish(list, question, n)         JSON: the answers to it; ends the question
package main

import (
	"encoding/json"

	"github.com/watchword-project/watchword/server/browser/door"
	"github.com/watchword-project/watchword/wordlists/private"
)

func main() {}

// maxQuestions is how many may be open; the oldest gives way. A question holds the
// password, and maxLists is for pages that never end.
const (
	maxQuestions = 16
	maxLists     = 16
)

var (
	lists     []*private.Header
	questions = map[uint32]*private.Question{}
	asked     uint32
)

// fault is an error of the package.
type fault struct {
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

func (f *fault) Error() string { return f.Reason }

// answers are those of the server to the three calls, in protobuf's JSON.
type answers struct {
	Elements [][]byte `json:"elements"`
	Proof    []byte   `json:"proof"`
	Records  []byte   `json:"records"`
	Path     [][]byte `json:"path"`
}

func refused(err error) error { return &fault{"PRIVATE_ANSWER", err.Error()} }

//go:wasmexport list
func list(version, header uint32) uint32 {
	return answer(func() (any, error) {
		in := door.Take(version, header)
		v, err := private.ParseVersion(string(in[0]))
		if err != nil || len(lists) == maxLists {
			return nil, &fault{"MALFORMED_REQUEST", "not the version of a private list, or one list too many"}
		}
		var h struct {
			Header []byte `json:"header"`
		}
		if json.Unmarshal(in[1], &h) != nil {
			return nil, refused(private.ErrVersion)
		}
		head, err := private.ParseHeader(h.Header, v)
		if err != nil {
			return nil, refused(err)
		}
		lists = append(lists, head)
		return map[string]int{"list": len(lists) - 1}, nil
	})
}

//go:wasmexport ask
func ask(list, password uint32) uint32 {
	return answer(func() (any, error) {
		q, err := private.NewAsker(lists[list]).Ask(door.Take(password)[0])
		if err != nil {
			return nil, &fault{"MALFORMED_REQUEST", "the password is " + err.Error()}
		}
		asked++
		if old := questions[asked-maxQuestions]; old != nil {
			old.Forget()
			delete(questions, asked-maxQuestions)
		}
		questions[asked] = q
		return map[string]any{"question": asked, "bucket": q.Bucket, "elements": q.Elements}, nil
	})
}

//go:wasmexport finish
func finish(list, question, n uint32) uint32 {
	return answer(func() (any, error) {
		q := questions[question]
		delete(questions, question)
		var in answers
		if json.Unmarshal(door.Take(n)[0], &in) != nil || q == nil {
			return nil, &fault{"PRIVATE_ANSWER", "not an answer to an open question"}
		}
		defer q.Forget()
		b, err := lists[list].Bucket(q.Bucket, in.Records, in.Path)
		if err != nil {
			return nil, refused(err)
		}
		r, err := q.Finish(in.Elements, in.Proof, b)
		if err != nil {
			return nil, refused(err)
		}
		return map[string]bool{"found": r.Found, "similar": r.Similar}, nil
	})
}

func answer(f func() (any, error)) uint32 {
	return door.Answer(text(nil, &fault{"INTERNAL", "internal error"}), func() []byte { return text(f()) })
}

func text(v any, err error) []byte {
	if err != nil {
		v = map[string]error{"error": err}
	}
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // texts and numbers
	}
	return b
}
