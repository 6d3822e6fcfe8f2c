package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/resnet-run/resnet-run/shaders"
)

// compiler is glslangValidator with spirv-opt and spirv-val.
type compiler struct {
	bin     string // their folder, empty for those on the path
	version string
	file    string // in spv/, names the versions that made what is committed
	made    string // what it says
	same    bool   // these are the versions
}

// newCompiler looks for the tools in a folder, or on the path.
func newCompiler(w *writer, bin, file string) (*compiler, error) {
	c := &compiler{bin: bin, file: file}
	for _, tool := range []struct{ name, from string }{{"glslangValidator", "glslang-tools"}, {"spirv-opt", "spirv-tools"}} {
		out, err := exec.Command(c.tool(tool.name), "--version").CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("run %s (Debian: %s): %w", tool.name, tool.from, err)
		}
		first, _, _ := strings.Cut(string(out), "\n")
		c.version += first + "\n"
	}
	made, err := os.ReadFile(filepath.Join(w.dir, "spv", file))
	c.made = string(made)
	c.same = err == nil && c.made == c.version
	return c, nil
}

// newerCompiler is one that knows the variants that are Newer, nil where there is none.
func newerCompiler(w *writer, usual *compiler) *compiler {
	bin := os.Getenv("RESNET_RUN_GLSLANG")
	if bin == "" {
		// The version line is "Glslang Version: 11:12.0.0"; the extension came with 12.3 and its validator after that.
		var spirv, major int
		if n, err := fmt.Sscanf(usual.version, "Glslang Version: %d:%d", &spirv, &major); n != 2 || err != nil || major < 13 {
			return nil
		}
	}
	c, err := newCompiler(w, bin, "compiler-newer.txt")
	if err != nil {
		w.errs = append(w.errs, fmt.Errorf("RESNET_RUN_GLSLANG=%s: %w", bin, err))
		return nil
	}
	return c
}

func (c *compiler) tool(name string) string {
	if c.bin == "" {
		return name
	}
	return filepath.Join(c.bin, name)
}

func (c *compiler) compile(dir, tmp string, v *shaders.Variant) ([]byte, error) {
	out := filepath.Join(tmp, v.Name+".spv")
	args := []string{"-V", "--quiet", "--target-env", v.Target, "-o", out}
	for _, d := range v.Defines {
		args = append(args, "-D"+d)
	}
	args = append(args, filepath.Join(dir, "glsl", v.Source))
	cmds := [][]string{append([]string{c.tool("glslangValidator")}, args...)}
	if v.Optimize {
		cmds = append(cmds, []string{c.tool("spirv-opt"), "--target-env=" + v.Target, "-O", out, "-o", out})
	}
	for _, cmd := range append(cmds, []string{c.tool("spirv-val"), "--target-env", v.Target, out}) {
		if msg, err := exec.Command(cmd[0], cmd[1:]...).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%s: %w\n%s", strings.Join(cmd, " "), err, msg)
		}
	}
	return os.ReadFile(out)
}
