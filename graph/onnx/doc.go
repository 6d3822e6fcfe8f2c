// Package onnx makes graphs of ONNX files, as PyTorch, timm, Keras, tf2onnx, MXNet and others export networks.
//
// A file of this format holds a network along with its weights, so that nothing has to be found out from the names of
// tensors: whatever consists of the operations below runs, residual networks of any shape among them.
//
//	f, err := weights.Open("resnet50.onnx")   // maps the file; weights are read when they are wanted
//	n, err := onnx.New(f)                     // says what is in the way, if something is
//	g, err := n.Graph(8, 224, 224)            // a graph for 8 pictures of that size, its weights bound
//
// # What is read
//
// Operators of ONNX's own domain, of any version that has the meaning below:
//
//	Conv, MaxPool, AveragePool, GlobalAveragePool, ReduceMean over rows and columns   in two dimensions
//	BatchNormalization, Relu, Softmax, Add, Sum                                        (inference; two and more operands of one shape)
//	Gemm, MatMul                                                                       with a constant matrix, and a constant added to it
//	Add, Sub, Mul, Div of a picture and a constant                                     a number, or one for each channel, as a batch norm
//	Sigmoid and Mul                                                                    as gates of channels, σ(s)·x with s [N,C,1,1]
//	Flatten, Reshape, Squeeze                                                          from [N,C,H,W] or [N,C,1,1] to [N,C·H·W]
//	Pad                                                                                with zeros, which a convolution or pool behind it adds itself where it can
//	Slice                                                                              every n-th row and column
//	Identity, Dropout, Cast between floating-point types                               do nothing
//	Transpose                                                                          of pictures between [N,H,W,C] and [N,C,H,W], which does nothing; of constants
//	Constant, ConstantOfShape, Shape, Gather, Concat, Unsqueeze, Cast, ...              arithmetic of shapes, which is done at import
//
// The batch size and the extent of the picture are those that [Network.Graph] is asked for, also where the file has fixed
// ones; a network that a fixed size is built into says so. Elements are float32; weights of float16, bfloat16 and float64
// are converted, and Casts between them are left out.
//
// # What it does not do
//
// Training, control flow, quantised operators, functions, and operators of other domains. The error names all of them
// at once.
package onnx
