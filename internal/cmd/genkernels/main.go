// Command genkernels writes the assembly of backend/cpu/internal/kernel with avo, and for arm64 by itself. With -check it compares instead.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/ir"
	"github.com/mmcloughlin/avo/pass"
	"github.com/mmcloughlin/avo/printer"
)

func main() {
	dir := flag.String("dir", ".", "`FOLDER` of the package kernel")
	check := flag.Bool("check", false, "compare the files with what would be written, and write nothing")
	flag.Parse()
	if err := run(*dir, *check); err != nil {
		fmt.Fprintln(os.Stderr, "genkernels:", err)
		os.Exit(1)
	}
}

func run(dir string, check bool) error {
	file, err := generate()
	if err != nil {
		return err
	}
	cfg := printer.Config{Argv: []string{"genkernels"}, Pkg: "kernel"}
	texts := map[string][]byte{}
	for name, p := range map[string]printer.Printer{"gen_amd64.s": printer.NewGoAsm(cfg), "gen_amd64.go": printer.NewStubs(cfg)} {
		if texts[name], err = p.Print(file); err != nil {
			return fmt.Errorf("print %s: %w", name, err)
		}
	}
	texts["gen_arm64.s"], texts["gen_arm64.go"] = generateNEON()
	for name, text := range texts {
		if err := put(filepath.Join(dir, name), text, check); err != nil {
			return err
		}
	}
	return nil
}

// put writes a file, or compares it with what would be written.
func put(path string, text []byte, check bool) error {
	if !check {
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return fmt.Errorf("write assembly: %w", err)
		}
		return nil
	}
	have, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("check assembly: %w", err)
	}
	if !bytes.Equal(have, text) {
		return fmt.Errorf("check assembly: %s is not what its generator writes: want it to be generated again", path)
	}
	return nil
}

// generate builds all kernels for amd64. The tables in backend/cpu/internal/kernel/available_amd64.go list them.
func generate() (*ir.File, error) {
	c := build.NewContext()
	table := maskTable(c)
	for _, rows := range []int{1, 2, 4, 6} {
		avx2(c, rows, table)
	}
	avx2Max(c, table)
	avx2MultiplyAdd(c, table)
	avx2Moments(c)
	winograd(c)
	for _, k := range []struct {
		vectors int
		rows    []int
	}{{1, []int{1, 2, 4, 8}}, {2, []int{1, 2, 4, 8}}, {4, []int{1, 2, 4, 6}}} {
		for _, rows := range k.rows {
			avx512(c, k.vectors, rows)
		}
	}
	file, err := c.Result()
	if err != nil {
		return nil, fmt.Errorf("build kernels: %w", err)
	}
	if err := pass.Compile.Execute(file); err != nil {
		return nil, fmt.Errorf("compile kernels: %w", err)
	}
	return file, nil
}

// begin opens a function.
func begin(c *build.Context, name, signature, doc string) {
	c.Function(name)
	c.Attributes(attr.NOSPLIT)
	c.Pragma("noescape")
	c.SignatureExpr(signature)
	c.Doc(doc)
}

// takesTile is the signature of a micro-kernel, which takes the address of a kernel.Tile.
const takesTile = "func(t *byte)"
