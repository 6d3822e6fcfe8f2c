// Package weights reads the tensors of weights files: safetensors, PyTorch's .pth, .pt and .th in the zip format
// (since PyTorch 1.6) and in the legacy format before it, and the initializers of ONNX files. It reads; it writes nothing
// and runs nothing.
//
// # Glossary
//
//   - State dict: the mapping from tensor names to tensors that a model is saved as. A checkpoint may wrap it,
//     as in {"state_dict": ..., "epoch": 90}.
//   - Storage: a flat run of elements in a PyTorch file. A tensor is a view of one: offset, size and stride per
//     dimension, all in elements. Views may overlap, and a stride of zero repeats an element.
//   - Canonical name: the name that torchvision gives a tensor of a ResNet; see [Canonical].
//
// # Lifecycle
//
// [Open] looks at the content, never at the file's extension, checks everything that can be checked without reading
// the elements, and keeps the file mapped into memory where the system can. [File.Tensor] copies and converts one
// tensor to float32; what it returns stays valid after [File.Close]. A File may be used by several goroutines.
//
// # What a file may do
//
// A weights file comes from a stranger. Whatever it says costs memory and time in proportion to its real size:
//
//   - a safetensors header has at most 16 MiB (the format allows 100 MB), a file at most 65,536 tensors;
//   - a pickle has at most 32 MiB and 1,048,576 opcodes; no length in it is believed before the bytes are there;
//   - an ONNX file's messages are read without recursion, and with at most 131,072 nodes; its tensors may lie in up to 64
//     files of its own folder, and in no file elsewhere;
//   - a PyTorch or ONNX file's tensors together have at most 1 Mi elements plus one for each byte of the file (of its
//     storages after decompression), which bounds tensors that repeat or overlap; decompressed entries together
//     have at most 64 MiB plus 16 times the file's size;
//   - a file that shrinks while it is mapped gives an error, not a crash; so does one that was written to, to whoever
//     reads a tensor of it later.
//
// Errors about content are [*FormatError]s: they name the file, the tensor and the range of bytes.
//
// # The unpickler
//
// PyTorch's formats are pickles, programs for a small stack machine that in Python may call any function. The machine
// here has no call at all. It knows a closed list of constructors, all of them written in this package:
//
//	collections.OrderedDict, collections.defaultdict
//	torch.Size, torch.*Storage, torch.storage.{UntypedStorage,TypedStorage}, torch's dtype constants
//	torch._utils._rebuild_tensor, _rebuild_tensor_v2, _rebuild_tensor_v3
//	torch._utils._rebuild_parameter, _rebuild_parameter_with_state
//	torch._tensor._rebuild_from_type_v2 around one of these
//
// Every other class or function, os.system as well as argparse.Namespace, becomes an opaque value: it can be stored
// and skipped, and [File.Uninterpreted] lists it, but there is nothing it could do. So a checkpoint may carry optimiser
// state, arguments and epoch numbers, and a malicious one is either read for its tensors or refused. Extension
// codes and out-of-band buffers, which PyTorch does not write, are refused.
//
// Why not github.com/nlpodyssey/gopickle: as of v0.2.0 it allocates what a length field claims before reading
// (read, loadFrame and every SetFromFileWithSize), sets no limit on opcodes, stack or memo, converts each storage
// into a Go slice on load, ignores zip sizes, and panics on tar archives. Bounding it from outside is not possible; the
// machine that is needed is smaller than the wrapper would be.
//
// # What it does not do
//
// TorchScript archives, the tar format before PyTorch 0.1.10, whole pickled modules, sparse and quantised tensors get
// an error that says so. The network of an ONNX file is read by package onnx, from what [File.ONNX] returns.
package weights
