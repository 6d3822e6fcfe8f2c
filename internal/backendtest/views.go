package backendtest

import (
	"testing"

	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/graph/head"
	"github.com/resnet-run/resnet-run/internal/golden"
)

// EachView runs a test with the class maps of every golden end of a classifier: a linear layer that is there twice, over the means and as a
// convolution with the same weights. Want has what PyTorch's gradients say of the maps.
func EachView(t *testing.T, test func(t *testing.T, c golden.Case)) {
	t.Helper()
	cases, err := golden.Heads()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			frozen := map[string]*graph.Tensor{} // so that a backend knows that the weights of both are the same
			for _, p := range c.Graph.Params {
				frozen[p.Name] = graph.Freeze(p.Data)
			}
			if c.Graph, err = c.Graph.Bind(frozen); err != nil {
				t.Fatal(err)
			}
			if c.Graph, err = head.ClassMaps(c.Graph); err != nil {
				t.Fatal(err)
			}
			maps := c.Graph.Outputs[1]
			_, k, h, w := maps.Type.Shape.NCHW()
			bias := make([]float32, k)
			if v := c.Graph.Value("fc.bias"); v != nil {
				bias = v.Data.Float32s()
			}
			want := make([]float64, maps.Type.Shape.Elems())
			for i, gradcam := range c.Extra["gradcam"] { // the mean over places is in its weights, and it has no bias
				want[i] = gradcam*float64(h*w) + float64(bias[i/(h*w)%k])
			}
			c.Want[maps.Name] = want
			test(t, c)
		})
	}
}
