package vulkan_test

import (
	"context"
	"fmt"
	"log"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/backend/vulkan"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/graph/pass"
	"github.com/resnet-run/resnet-run/graph/resnet"
	"github.com/resnet-run/resnet-run/graph/weights"
)

// From a weights file to logits: open the file, find out which network it is, build and optimise the graph, and run it
// on the best Vulkan device, or on the CPU where there is none.
func Example() {
	logits, err := classify("../../internal/model/bundled/resnet20-cifar10.safetensors", make([]float32, 3*32*32))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(logits), "logits")
	// Output: 10 logits
}

func classify(file string, picture []float32) ([]float32, error) {
	ctx := context.Background()
	g, err := load(file)
	if err != nil {
		return nil, err
	}

	var backends backend.Registry
	for _, b := range []backend.Backend{vulkan.New(vulkan.Options{}), reference.New()} {
		if err := backends.Register(b); err != nil {
			return nil, err
		}
	}
	device, err := backends.Open(ctx, "vulkan")
	if err != nil {
		if device, err = backends.Open(ctx, "reference"); err != nil {
			return nil, err
		}
	}
	defer device.Close()

	exe, err := device.Compile(ctx, g)
	if err != nil {
		return nil, err
	}
	in, err := device.NewBuffer(ctx, exe.Signature().Inputs[0].Type)
	if err != nil {
		return nil, err
	}
	out, err := device.NewBuffer(ctx, exe.Signature().Outputs[0].Type)
	if err != nil {
		return nil, err
	}

	input, err := graph.FromFloat32s(in.Type().Shape, picture)
	if err != nil {
		return nil, err
	}
	if err := in.Write(ctx, input.Data); err != nil {
		return nil, err
	}
	if err := exe.Run(ctx, []backend.Buffer{in}, []backend.Buffer{out}); err != nil {
		return nil, err
	}
	logits := graph.NewTensor(out.Type())
	if err := out.Read(ctx, logits.Data); err != nil {
		return nil, err
	}
	return logits.Float32s(), nil
}

func load(file string) (*graph.Graph, error) {
	f, err := weights.Open(file) // safetensors or PyTorch
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := weights.Canonical(f.Shapes()) // torchvision, timm, Hugging Face and CIFAR names
	if err != nil {
		return nil, err
	}
	config, err := resnet.Detect(names.Shapes, resnet.DetectOptions{})
	if err != nil {
		return nil, err
	}
	tensors := map[string]*graph.Tensor{}
	for canonical, name := range names.ToFile {
		t, err := f.Tensor(name)
		if err == nil {
			t, err = t.WithShape(names.Shapes[canonical]) // of efficient channel attention and some classifiers
		}
		if err == nil {
			t, err = config.Parameter(canonical, t) // BiT standardises its weights
		}
		if err != nil {
			return nil, err
		}
		tensors[canonical] = t
	}
	g, err := config.Build(1, config.InputSize, config.InputSize) // a batch of one
	if err != nil {
		return nil, err
	}
	if g, err = g.Bind(tensors); err != nil {
		return nil, err
	}
	return pass.Run(g, pass.Default())
}
