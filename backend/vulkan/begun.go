package vulkan

import (
	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/tune"
)

// bury strikes off the kernels in whose proofs other processes ended, and says so.
func bury(opts Options, file tune.File, info backend.DeviceInfo) {
	list, err := file.Bury()
	if err != nil {
		opts.Logger.Warn("kernels in whose proofs the program ended were not struck off", "device", info.Name, "error", err)
	}
	for _, p := range list {
		if p.Kernel == tune.Together {
			opts.Logger.Warn("pipelines will be made one by one, as a process ended while it made several", "device", info.Name, "driver", info.Driver)
			continue
		}
		opts.Logger.Warn("kernel struck off", "kernel", p.Kernel, "for", "the device", "device", info.Name, "driver", info.Driver, "found", p.Reason)
	}
}

// enter writes down that a proof begins, for the case that the driver ends the process in it. That it cannot is no error.
func (o *outcomes) enter(key tune.Key) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var err error
	if o.begun == nil {
		if o.begun, err = o.file.Open(); err != nil {
			o.dev.opts.Logger.Warn("a proof that ends the program will not be remembered", "error", err)
			o.begun = &tune.Begun{}
		}
	}
	if err = o.begun.Enter(key); err != nil {
		o.dev.opts.Logger.Warn("a proof that ends the program will not be remembered", "error", err)
	}
}

// leave takes back what enter wrote.
func (o *outcomes) leave() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.begun.Leave(); err != nil {
		o.dev.opts.Logger.Warn("that a proof ended was not written down", "kernel file", o.file.Path, "error", err)
	}
}

// proved removes what enter made: no proof is under way.
func (o *outcomes) proved() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.begun != nil {
		_ = o.begun.Close() // what is left is empty
		o.begun = nil
	}
}
