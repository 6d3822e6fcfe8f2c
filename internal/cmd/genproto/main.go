// Command genproto makes the Go code of every .proto file under a folder. It is run by "go generate ./plugins/proto/...".
//
// The compiler is the library github.com/bufbuild/protocompile and the generators are tools of go.mod, so that nothing
// but Go is needed and every machine writes the same bytes. With -check it writes nothing and fails when what is
// committed differs from what it would write.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/protoutil"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"
)

// generators are the commands of go.mod that turn descriptors into Go.
var generators = []string{"protoc-gen-go", "protoc-gen-go-grpc"}

func main() {
	check := flag.Bool("check", false, "compare instead of writing")
	dir := flag.String("dir", ".", "the folder that imports in .proto files are relative to")
	flag.Parse()
	if err := run(context.Background(), *dir, *check); err != nil {
		fmt.Fprintln(os.Stderr, "genproto:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, dir string, check bool) error {
	names, err := find(dir, ".proto")
	if err != nil {
		return err
	}
	if len(names) == 0 {
		return fmt.Errorf("find .proto files in %s: none", dir)
	}
	request, err := compile(ctx, dir, names)
	if err != nil {
		return err
	}
	made := map[string]bool{}
	var errs []error
	for _, g := range generators {
		files, err := generate(ctx, g, request)
		if err != nil {
			return err
		}
		for _, f := range files {
			made[f.GetName()] = true
			errs = append(errs, write(dir, f.GetName(), []byte(f.GetContent()), check))
		}
	}
	stale, err := find(dir, ".pb.go")
	if err != nil {
		return err
	}
	for _, name := range stale {
		if !made[name] {
			errs = append(errs, fmt.Errorf("%s is of no .proto file: remove it", name))
		}
	}
	return errors.Join(errs...)
}

// find lists the files under dir whose names end so, relative to it and with slashes.
func find(dir, suffix string) ([]string, error) {
	var names []string
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(path, suffix) {
			return err
		}
		name, err := filepath.Rel(dir, path)
		names = append(names, filepath.ToSlash(name))
		return err
	})
	return names, err
}

// compile parses and links the files into what protoc would hand to its plugins, comments included.
func compile(ctx context.Context, dir string, names []string) (*pluginpb.CodeGeneratorRequest, error) {
	c := protocompile.Compiler{
		Resolver:       protocompile.WithStandardImports(&protocompile.SourceResolver{ImportPaths: []string{dir}}),
		SourceInfoMode: protocompile.SourceInfoStandard,
	}
	files, err := c.Compile(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("compile: %w", err)
	}
	request := &pluginpb.CodeGeneratorRequest{FileToGenerate: names, Parameter: proto.String("paths=source_relative")}
	for _, f := range files {
		d := protoutil.ProtoFromFileDescriptor(f)
		if len(d.GetDependency()) > 0 {
			// Imports must be listed before what imports them; no file of ours has any.
			return nil, fmt.Errorf("compile %s: imports are not handled, got %v", d.GetName(), d.GetDependency())
		}
		request.ProtoFile = append(request.ProtoFile, proto.Clone(d).(*descriptorpb.FileDescriptorProto))
	}
	return request, nil
}

// generate runs one generator, which speaks protoc's plugin protocol on its standard input and output.
func generate(ctx context.Context, tool string, request *pluginpb.CodeGeneratorRequest) ([]*pluginpb.CodeGeneratorResponse_File, error) {
	in, err := proto.Marshal(request)
	if err != nil {
		return nil, fmt.Errorf("generate with %s: %w", tool, err)
	}
	cmd := exec.CommandContext(ctx, "go", "tool", tool)
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("run go tool %s: %w", tool, err)
	}
	response := &pluginpb.CodeGeneratorResponse{}
	if err := proto.Unmarshal(out, response); err != nil {
		return nil, fmt.Errorf("read what %s wrote: %w", tool, err)
	}
	if response.Error != nil {
		return nil, fmt.Errorf("generate with %s: %s", tool, response.GetError())
	}
	return response.File, nil
}

func write(dir, name string, data []byte, check bool) error {
	path := filepath.Join(dir, filepath.FromSlash(name))
	old, err := os.ReadFile(path)
	if err == nil && bytes.Equal(old, data) {
		return nil
	}
	if check {
		return fmt.Errorf("%s is stale: run go generate ./plugins/proto/... again", path)
	}
	return os.WriteFile(path, data, 0o644)
}
