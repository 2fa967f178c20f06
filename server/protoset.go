// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package main

import (
	"io"
	"os"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
)

type protosetCmd struct{}

func (*protosetCmd) Run() error { return writeProtoset(os.Stdout) }

// writeProtoset writes the descriptors of the contract, each file after those
// it imports, as protoc --include_imports does.
func writeProtoset(w io.Writer) error {
	set := &descriptorpb.FileDescriptorSet{}
	seen := map[string]bool{}
	var add func(protoreflect.FileDescriptor)
	add = func(f protoreflect.FileDescriptor) {
		if seen[f.Path()] {
			return
		}
		seen[f.Path()] = true
		for i := range f.Imports().Len() {
			add(f.Imports().Get(i).FileDescriptor)
		}
		set.File = append(set.File, protodesc.ToFileDescriptorProto(f))
	}
	var own []protoreflect.FileDescriptor
	protoregistry.GlobalFiles.RangeFilesByPackage("watchword.v1", func(f protoreflect.FileDescriptor) bool {
		own = append(own, f)
		return true
	})
	slices.SortFunc(own, func(a, b protoreflect.FileDescriptor) int { return strings.Compare(a.Path(), b.Path()) })
	for _, f := range own {
		add(f)
	}
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(set)
	if err != nil {
		return err
	}
	_, err = w.Write(b)
	return err
}
