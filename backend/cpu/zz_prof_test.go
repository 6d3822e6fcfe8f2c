package cpu

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"testing"
)

func TestZZProfile(t *testing.T) {
	name := os.Getenv("PROF")
	if name == "" {
		t.Skip()
	}
	n, _ := strconv.Atoi(os.Getenv("PROFN"))
	side := 224
	if name == "resnet20-cifar" {
		side = 32
	}
	rounds, _ := strconv.Atoi(os.Getenv("PROFR"))
	if rounds == 0 {
		rounds = 40
	}
	g := seededNetwork(t, name, n, side)
	d := open(t, Options{Threads: 1})
	e, in, out := ready(t, d, g, seededInput(g))
	best := map[string]float64{}
	kern := map[string]string{}
	var order []string
	for range rounds {
		times, err := e.(*executable).Profile(context.Background(), in, out)
		if err != nil {
			t.Fatal(err)
		}
		for _, nt := range times {
			if b, ok := best[nt.Node]; !ok {
				order = append(order, nt.Node)
				best[nt.Node] = nt.Seconds
				kern[nt.Node] = nt.Kernel
			} else if nt.Seconds < b {
				best[nt.Node] = nt.Seconds
			}
		}
	}
	cost := map[string]int64{}
	shape := map[string]string{}
	for _, nd := range g.Nodes {
		types := nd.Output.Type.Shape.String()
		s := ""
		for _, i := range nd.Inputs[:1] {
			s += i.Type.Shape.String()
		}
		if len(nd.Inputs) > 1 {
			s += " w" + nd.Inputs[1].Type.Shape.String()
		}
		shape[nd.Name] = s + "->" + types
		cost[nd.Name] = nd.Cost().FLOPs
	}
	total, flops := 0.0, int64(0)
	for _, o := range order {
		total += best[o]
		flops += cost[o]
		fmt.Printf("%-26s %-16s %8.3f ms %6.1f%% %s\n", o, kern[o], best[o]*1e3, float64(cost[o])/best[o]/118.2e9*100, shape[o])
	}
	fmt.Printf("total %.3f ms  %.1f%% of peak\n", total*1e3, float64(flops)/total/118.2e9*100)
}
