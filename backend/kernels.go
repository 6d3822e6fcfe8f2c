package backend

import "context"

// KernelReporter is an optional ability of an Executable: what the driver's compiler says of the kernels that it runs.
type KernelReporter interface {
	// Kernels returns a report for each piece of machine code, in the order in which they first run. They may be compiled again for it, which takes as long
	// as the first Compile on a device did.
	//
	// Errors: ErrUnsupported when the driver says nothing, ErrClosed, ErrDeviceLost, and the context's.
	Kernels(ctx context.Context) ([]KernelReport, error)
}

// KernelReport is what a driver says of a kernel. Which statistics there are, and in which units, is the driver's affair.
type KernelReport struct {
	Kernel       string   `json:"kernel"`
	Nodes        []string `json:"nodes"`         // that it computes, "" among them for steps of none
	Invocations  int      `json:"invocations"`   // of a workgroup
	SubgroupSize int      `json:"subgroup_size"` // 0 where the driver does not say
	// Spilled is how much of what belongs into registers lies in memory, in the driver's unit, which costs a kernel most of its speed. 0: nothing, or the driver
	// does not say.
	Spilled    float64           `json:"spilled"`
	Statistics []KernelStatistic `json:"statistics"`
}

// KernelStatistic is one thing that a driver says of a kernel.
type KernelStatistic struct {
	Name        string  `json:"name"`
	Description string  `json:"description"`
	Value       float64 `json:"value"` // 0 and 1 for booleans
}
