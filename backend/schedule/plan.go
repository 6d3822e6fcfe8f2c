package schedule

// Plan says who does what for one graph, for people and programs. Devices are named as in [Options].
type Plan struct {
	Graph    string       `json:"graph"`
	Batch    int          `json:"batch"` // samples of a run; 1 where samples cannot be told apart
	Split    Split        `json:"split"` // ByGraph or ByBatch
	Devices  []PlanDevice `json:"devices"`
	Routes   []Route      `json:"routes"`
	Fallback []string     `json:"fallback"` // nodes that no chosen device supports
	Unused   []string     `json:"unused"`   // nodes that no output needs: they are not run
	// Optimal tells that no placement in the graph's order of nodes is cheaper by the estimates. A graph too wide for an exact search
	// gets a good placement.
	Optimal bool `json:"optimal"`
	// Measured tells that the shares of a batch come from measured speeds, not from estimates.
	Measured bool  `json:"measured"`
	Nanos    int64 `json:"nanos"` // estimate for a run: that of the slowest route
}

// PlanDevice is a member that could have been used.
type PlanDevice struct {
	Name    string `json:"name"`
	Backend string `json:"backend"`
	Device  string `json:"device"`
	Chosen  bool   `json:"chosen"`  // else the fallback
	Refused int    `json:"refused"` // nodes that it does not support
	Rates   Rates  `json:"rates"`
}

// Route is a chain of parts for a share of the batch.
type Route struct {
	First int    `json:"first"` // sample of the batch with which the share begins
	Batch int    `json:"batch"` // samples of the share
	Chunk int    `json:"chunk"` // samples that are run at a time
	Parts []Part `json:"parts"`
	Nanos int64  `json:"nanos"` // estimate for the share
}

// Part is what one device compiles and runs at once. Its figures are for one chunk.
type Part struct {
	Device string     `json:"device"`
	Nodes  []string   `json:"nodes"`
	FLOPs  int64      `json:"flops"`
	Nanos  int64      `json:"nanos"` // estimate of its nodes and their start, without transfers
	In     []Transfer `json:"in"`    // tensors that come through host memory
	Out    []Transfer `json:"out"`   // tensors that go to host memory
}

// Transfer is a tensor on its way between a device and the host.
type Transfer struct {
	Value string `json:"value"`
	Bytes int64  `json:"bytes"`
	Nanos int64  `json:"nanos"` // estimate
}

// Bytes sums up transfers.
func Bytes(list []Transfer) int64 {
	var sum int64
	for _, t := range list {
		sum += t.Bytes
	}
	return sum
}
