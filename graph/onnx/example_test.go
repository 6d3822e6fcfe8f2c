package onnx_test

import (
	"fmt"
	"log"

	"github.com/resnet-run/resnet-run/graph/onnx"
	"github.com/resnet-run/resnet-run/graph/pass"
	"github.com/resnet-run/resnet-run/graph/weights"
)

func Example() {
	f, err := weights.Open("testdata/squeeze_excitation.onnx")
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close() // after the last Compile: until then weights are read when they are wanted
	n, err := onnx.New(f)
	if err != nil {
		log.Fatal(err)
	}
	g, err := n.Graph(8, 224, 224)
	if err != nil {
		log.Fatal(err)
	}
	fused, err := pass.Run(g, pass.Default())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(g.Signature().Inputs, g.Signature().Outputs)
	fmt.Println(len(g.Nodes), "nodes,", len(fused.Nodes), "after the passes")
	// Output:
	// [{input float32[8,3,224,224]}] [{logits float32[8,10]}]
	// 50 nodes, 33 after the passes
}
