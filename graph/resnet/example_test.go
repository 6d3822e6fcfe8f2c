package resnet_test

import (
	"fmt"
	"log"

	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/graph/resnet"
)

func Example() {
	c, err := resnet.Lookup("resnet50")
	if err != nil {
		log.Fatal(err)
	}
	c.Classes = 37
	g, err := c.Build(8, 224, 224)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(g.Signature().Inputs, g.Signature().Outputs)
	fmt.Println(g.Nodes[0])
	fmt.Printf("%.2f GMACs a picture\n", float64(g.Cost().MACs)/8e9)
	// Output:
	// [{input float32[8,3,224,224]}] [{fc float32[8,37]}]
	// %conv1 = conv2d(%input, @conv1.weight) stride=2,2 padding=3,3,3,3 : float32[8,64,112,112]
	// 4.09 GMACs a picture
}

func ExampleDetect() {
	c, err := resnet.Lookup("resnet20-cifar")
	if err != nil {
		log.Fatal(err)
	}
	g, err := c.Build(1, 32, 32)
	if err != nil {
		log.Fatal(err)
	}
	shapes := map[string]graph.Shape{}
	for _, p := range g.Params {
		shapes[p.Name] = p.Type.Shape
	}
	found, err := resnet.Detect(shapes, resnet.DetectOptions{})
	fmt.Println(found.Name, found.Block, found.Depths, found.Shortcut, err)

	delete(shapes, "layer2.1.conv1.weight")
	_, err = resnet.Detect(shapes, resnet.DetectOptions{})
	fmt.Println(err)
	// Output:
	// resnet20-cifar basic [3 3 3 0] zero-pad <nil>
	// detect network: the tensors do not fit resnet20-cifar; 1 missing: layer2.1.conv1.weight
}
