package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"github.com/resnet-run/resnet-run/shaders"
)

// spvEnv names the folder from which the worker takes SPIR-V, where it holds some.
const spvEnv = "MUTATE_SPV"

// workerPackage is what is built with the mutants.
const workerPackage = "./tools/mutate/worker"

// builder makes what runs the mutants: SPIR-V for shaders, worker programs for Go code.
type builder struct {
	root string // of the module
	tmp  string

	once      sync.Once
	originals map[string]string // normal form of each variant's SPIR-V
	err       error
}

// built is a mutant that can be run.
type built struct {
	worker      string   // the program
	spv         string   // the folder of its SPIR-V, "" for the original's
	overlay     string   // for "go test", of Go code
	variants    []string // of shaders: those that are not the same as the original
	fingerprint string   // equal for mutants that come to the same
}

var (
	errNotCompiling = errors.New("does not compile")
	errIdentical    = errors.New("compiles to the same as the original")
)

// readerSource replaces the reading of embedded SPIR-V in package shaders, under an overlay: the product has no such door.
const readerSource = `package shaders

import (
	"os"
	"path/filepath"
)

func readSPIRV(name string) ([]byte, error) {
	if b, err := os.ReadFile(filepath.Join(os.Getenv("` + spvEnv + `"), name+".spv")); err == nil {
		return b, nil
	}
	return spv.ReadFile("spv/" + name + ".spv")
}
`

// shaderWorker builds the worker that runs mutants of shaders, and the original.
func (b *builder) shaderWorker(ctx context.Context) (string, error) {
	const call = `spv.ReadFile("spv/" + v.Name + ".spv")`
	src, err := os.ReadFile(filepath.Join(b.root, "shaders/shaders.go"))
	if err != nil {
		return "", err
	}
	if strings.Count(string(src), call) != 1 {
		return "", fmt.Errorf("overlay shaders/shaders.go: want %s once", call)
	}
	dir := filepath.Join(b.tmp, "original")
	overlay, err := b.overlay(dir, map[string]string{
		"shaders/shaders.go":      strings.Replace(string(src), call, "readSPIRV(v.Name)", 1),
		"shaders/mutate_spirv.go": readerSource,
	})
	if err != nil {
		return "", err
	}
	return b.build(ctx, dir, overlay)
}

// overlay writes files that stand for those of the module.
func (b *builder) overlay(dir string, files map[string]string) (string, error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return "", err
	}
	replace := map[string]string{}
	for name, text := range files {
		to := filepath.Join(dir, filepath.Base(name))
		if err := os.WriteFile(to, []byte(text), 0o666); err != nil {
			return "", err
		}
		replace[filepath.Join(b.root, name)] = to
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, text, 0o666)
}

// build makes a worker; two of the same code are the same bytes.
func (b *builder) build(ctx context.Context, dir, overlay string) (string, error) {
	program := filepath.Join(dir, "worker")
	_, err := b.command(ctx, "go", "build", "-overlay", overlay, "-p", "1", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", program, workerPackage)
	return program, err
}

// command runs a program in the module's root; the error has what it said.
func (b *builder) command(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = b.root
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, tail(string(out), 2000))
	}
	return string(out), nil
}

func tail(s string, n int) string {
	if len(s) > n {
		return "…" + s[len(s)-n:]
	}
	return s
}

// goMutant builds the worker of a mutant of Go code. original is the hash of the unchanged worker.
func (b *builder) goMutant(ctx context.Context, m mutant, dir, original string) (*built, error) {
	overlay, err := b.overlay(dir, map[string]string{m.File: m.source})
	if err != nil {
		return nil, err
	}
	program, err := b.build(ctx, dir, overlay)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %s", errNotCompiling, firstError(err))
	}
	sum, err := hashFile(program)
	if err != nil {
		return nil, err
	}
	if sum == original {
		return nil, errIdentical
	}
	return &built{worker: program, overlay: overlay, fingerprint: sum}, nil
}

// firstError is the compiler's first complaint.
func firstError(err error) string {
	for _, l := range strings.Split(err.Error(), "\n")[1:] {
		if l != "" && !strings.HasPrefix(l, "#") {
			return l
		}
	}
	return err.Error()
}

func hashFile(path string) (string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]), nil
}

// measured tells whether mutants of a variant are made: opsOf has those that the worker can be made to run.
func measured(v *shaders.Variant) bool { return !v.Newer && len(opsOf[v.Name]) > 0 }

// users are the measured variants whose source is the file or includes it, itself or by way of another.
func (b *builder) users(file string) ([]*shaders.Variant, error) {
	name := strings.TrimPrefix(file, glslDir)
	var out []*shaders.Variant
	for i := range shaders.Manifest {
		v := &shaders.Manifest[i]
		if !measured(v) {
			continue
		}
		uses, err := b.includes(v.Source, name)
		if err != nil {
			return nil, err
		}
		if uses {
			out = append(out, v)
		}
	}
	return out, nil
}

// includes tells whether a source is the file or takes it in.
func (b *builder) includes(source, name string) (bool, error) {
	if source == name {
		return true, nil
	}
	src, err := os.ReadFile(filepath.Join(b.root, glslDir, source))
	if err != nil {
		return false, err
	}
	for _, m := range include.FindAllStringSubmatch(string(src), -1) {
		if uses, err := b.includes(m[1], name); uses || err != nil {
			return uses, err
		}
	}
	return false, nil
}

// shaderMutant compiles the variants that a mutant changes.
func (b *builder) shaderMutant(ctx context.Context, m mutant, dir string) (*built, error) {
	b.once.Do(func() { b.originals, b.err = b.compileOriginals(ctx) })
	if b.err != nil {
		return nil, b.err
	}
	users, err := b.users(m.File)
	if err != nil {
		return nil, err
	}
	sources := filepath.Join(dir, "glsl")
	if err := b.copySources(sources); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(sources, strings.TrimPrefix(m.File, glslDir)), []byte(m.source), 0o666); err != nil {
		return nil, err
	}
	out := &built{spv: dir}
	all := sha256.New()
	for _, v := range users {
		normal, err := b.compile(ctx, sources, dir, v)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %s", errNotCompiling, firstError(err))
		}
		if normal == b.originals[v.Name] {
			continue
		}
		out.variants = append(out.variants, v.Name)
		fmt.Fprintln(all, v.Name, normal)
	}
	if len(out.variants) == 0 {
		return nil, errIdentical
	}
	out.fingerprint = hex.EncodeToString(all.Sum(nil))
	return out, nil
}

func (b *builder) compileOriginals(ctx context.Context) (map[string]string, error) {
	dir := filepath.Join(b.tmp, "originals")
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	out := map[string]string{}
	for i := range shaders.Manifest {
		v := &shaders.Manifest[i]
		if !measured(v) {
			continue
		}
		normal, err := b.compile(ctx, filepath.Join(b.root, glslDir), dir, v)
		if err != nil {
			return nil, err
		}
		out[v.Name] = normal
	}
	return out, nil
}

func (b *builder) copySources(to string) error {
	if err := os.MkdirAll(to, 0o777); err != nil {
		return err
	}
	return os.CopyFS(to, os.DirFS(filepath.Join(b.root, glslDir)))
}

// compile writes the SPIR-V of a variant as the product has it to dir, and returns the hash of its normal form: optimised,
// without names, with numbers in order. Two sources with the same normal form are the same program.
func (b *builder) compile(ctx context.Context, sources, dir string, v *shaders.Variant) (string, error) {
	path := filepath.Join(dir, v.Name+".spv")
	args := []string{"-V", "--quiet", "--target-env", v.Target, "-o", path}
	for _, d := range v.Defines {
		args = append(args, "-D"+d)
	}
	if _, err := b.command(ctx, "glslangValidator", append(args, filepath.Join(sources, v.Source))...); err != nil {
		return "", err
	}
	if v.Optimize { // as internal/cmd/genshaders does
		if _, err := b.command(ctx, "spirv-opt", "--target-env="+v.Target, "-O", path, "-o", path); err != nil {
			return "", err
		}
	}
	if _, err := b.command(ctx, "spirv-val", "--target-env", v.Target, path); err != nil {
		return "", err
	}
	normal := path + ".normal"
	if _, err := b.command(ctx, "spirv-opt", "--target-env="+v.Target, "--strip-debug", "-O", "--compact-ids", path, "-o", normal); err != nil {
		return "", err
	}
	return hashFile(normal)
}
