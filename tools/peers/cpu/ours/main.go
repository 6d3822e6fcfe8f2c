// Command ours runs a network on the cpu backend for tools/peers/cpu/compare.py: it reads commands from standard input,
// a line each, and answers each with a line. "run N" answers with the seconds of N runs, "output PATH" writes the last
// output there as little-endian float32.
package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"math"
	"os"
	"strings"
	"time"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/cpu"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/graph/pass"
	"github.com/resnet-run/resnet-run/graph/resnet"
	"github.com/resnet-run/resnet-run/graph/weights"
)

func main() {
	arch := flag.String("arch", "", "`NAME` of the architecture")
	file := flag.String("weights", "", "safetensors `FILE`")
	input := flag.String("input", "", "`FILE` of little-endian float32, [batch,3,side,side]")
	batch := flag.Int("batch", 1, "pictures a run")
	side := flag.Int("side", 224, "rows and columns of a picture")
	threads := flag.Int("threads", 2, "threads")
	flag.Parse()
	if err := serve(*arch, *file, *input, *batch, *side, *threads); err != nil {
		fmt.Fprintln(os.Stderr, "ours:", err)
		os.Exit(1)
	}
}

func serve(arch, file, input string, batch, side, threads int) error {
	ctx := context.Background()
	dev, err := cpu.New(cpu.Options{Threads: threads}).Open(ctx, "cpu")
	if err != nil {
		return err
	}
	defer dev.Close()
	e, err := compile(ctx, dev, arch, file, batch, side)
	if err != nil {
		return err
	}
	sig := e.Signature()
	in, err := dev.NewBuffer(ctx, sig.Inputs[0].Type)
	if err != nil {
		return err
	}
	out, err := dev.NewBuffer(ctx, sig.Outputs[0].Type)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(input)
	if err != nil {
		return err
	}
	if err := in.Write(ctx, data); err != nil {
		return err
	}
	fmt.Println("ready")
	ins, outs := []backend.Buffer{in}, []backend.Buffer{out}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		verb, rest, _ := strings.Cut(lines.Text(), " ")
		switch verb {
		case "run":
			var n int
			if _, err := fmt.Sscan(rest, &n); err != nil {
				return fmt.Errorf("command %q: %w", lines.Text(), err)
			}
			start := time.Now()
			for range n {
				if err := e.Run(ctx, ins, outs); err != nil {
					return err
				}
			}
			fmt.Println(time.Since(start).Seconds())
		case "output":
			raw := make([]byte, out.Type().SizeBytes())
			if err := out.Read(ctx, raw); err != nil {
				return err
			}
			if math.IsNaN(float64(math.Float32frombits(binary.LittleEndian.Uint32(raw)))) {
				return fmt.Errorf("the first logit is NaN")
			}
			if err := os.WriteFile(rest, raw, 0o644); err != nil {
				return err
			}
			fmt.Println("written")
		default:
			return fmt.Errorf("command %q: want run or output", lines.Text())
		}
	}
	return nil
}

// compile reads the weights, and keeps no more of them than the executable does.
func compile(ctx context.Context, dev backend.Device, arch, file string, batch, side int) (backend.Executable, error) {
	c, err := resnet.Lookup(arch)
	if err != nil {
		return nil, err
	}
	g, err := c.Build(batch, side, side)
	if err != nil {
		return nil, err
	}
	if g, err = bind(g, file); err != nil {
		return nil, err
	}
	if g, err = pass.Run(g, pass.Default()); err != nil {
		return nil, err
	}
	return dev.Compile(ctx, g)
}

func bind(g *graph.Graph, file string) (*graph.Graph, error) {
	f, err := weights.Open(file)
	if err != nil {
		return nil, err
	}
	data := map[string]*graph.Tensor{}
	for _, p := range g.Params {
		if data[p.Name], err = f.Lazy(p.Name); err != nil {
			return nil, err
		}
	}
	return g.Bind(data)
}
