package graph

import "math"

// Cost is what a node or a graph does, counted from shapes alone. A count that would overflow is math.MaxInt64.
type Cost struct {
	MACs       int64 // multiply-accumulates of convolutions and linear layers: the figure papers print
	FLOPs      int64 // 2·MACs plus one for each other arithmetic operation (bias, add, compare, pool window)
	ReadBytes  int64 // activations and parameters read once each
	WriteBytes int64 // the result
	Params     int64 // elements of parameters
	ParamBytes int64 // bytes of parameters, also part of ReadBytes
}

type work struct{ macs, flops int64 }

func (c *Cost) add(d Cost) {
	c.MACs = plus(c.MACs, d.MACs)
	c.FLOPs = plus(c.FLOPs, d.FLOPs)
	c.ReadBytes = plus(c.ReadBytes, d.ReadBytes)
	c.WriteBytes = plus(c.WriteBytes, d.WriteBytes)
	c.Params = plus(c.Params, d.Params)
	c.ParamBytes = plus(c.ParamBytes, d.ParamBytes)
}

// plus adds counts, which are not negative, and stops at math.MaxInt64.
func plus(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// times multiplies counts, which are not negative, and stops at math.MaxInt64.
func times(a, b int64) int64 {
	if b > 0 && a > math.MaxInt64/b {
		return math.MaxInt64
	}
	return a * b
}

// Cost counts what the node does. Moving data costs bytes but no FLOPs, and a view ([IsView]) moves none.
func (n *Node) Cost() Cost {
	in := make([]TensorType, len(n.Inputs))
	var c Cost
	for i, v := range n.Inputs {
		in[i] = v.Type
		d := Cost{ReadBytes: int64(v.Type.SizeBytes())}
		if v.Kind == ParamValue {
			d.Params, d.ParamBytes = int64(v.Type.Shape.Elems()), d.ReadBytes
		}
		c.add(d)
	}
	c.WriteBytes = int64(n.Output.Type.SizeBytes())
	if IsView(n.Op) {
		c.ReadBytes, c.WriteBytes = 0, 0
	}
	w := n.Op.work(in, n.Output.Type)
	c.MACs, c.FLOPs = w.macs, w.flops
	return c
}

// Cost is the sum over the nodes, with each parameter counted once however often it is used.
func (g *Graph) Cost() Cost {
	var c Cost
	for _, n := range g.Nodes {
		d := n.Cost()
		d.Params, d.ParamBytes = 0, 0
		c.add(d)
	}
	for _, p := range g.Params {
		c.add(Cost{Params: int64(p.Type.Shape.Elems()), ParamBytes: int64(p.Type.SizeBytes())})
	}
	return c
}
