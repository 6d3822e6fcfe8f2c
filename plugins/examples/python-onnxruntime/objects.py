"""What the host knows by id: "Objects and ids" in docs/plugin-protocol.md."""
import collections
import contextlib
import threading

from errors import Failure, closed, invalid
from resnet.backend.v1 import backend_pb2 as pb

MAX_EARLY = 1 << 16  # ids that are remembered because they were closed before they were made


class Object:
    def __init__(self, device):
        self.device = device  # the id of the device it belongs to, or None
        self.value = None  # None while it is being made
        self.users = 1  # calls that use it; the one that makes it is the first
        self.closing = False
        self.turn = threading.Lock()  # held by the call that uses a buffer


class Objects:
    def __init__(self):
        self.changed = threading.Condition()
        self.all = {}
        self.early = collections.OrderedDict()

    @contextlib.contextmanager
    def make(self, key, device=None):
        """Reserves an id; the object is there when the block has called put without an error after it."""
        with self.changed:
            if key == 0 or key in self.all:
                raise invalid(f"object {key}: want a new id that is not 0")
            if key in self.early:
                raise closed(f"object {key} was closed before it was made")
            made = self.all[key] = Object(device)
        value = []
        try:
            yield value.append
        except BaseException:
            value.clear()
            raise
        finally:
            with self.changed:
                made.users -= 1
                made.value = value[0] if value else None
                if not value and not made.closing:
                    del self.all[key]
                self.changed.notify_all()

    @contextlib.contextmanager
    def use(self, kind, *keys):
        """The objects of that kind with these ids, which are not closed before the block ends."""
        with self.changed:
            found = []
            for key in keys:
                item = self.all.get(key)
                if item is None or item.closing or item.value is None:
                    raise closed(f"object {key} was closed or never made")
                if not isinstance(item.value, kind):
                    raise invalid(f"object {key} is of another kind than wanted: {kind.__name__}")
                found.append(item)
            for item in found:
                item.users += 1
        try:
            yield found
        finally:
            with self.changed:
                for item in found:
                    item.users -= 1
                self.changed.notify_all()

    def close(self, key):
        """Closes an object, and what was made on it, when nobody uses it any more."""
        with self.changed:
            item = self.all.get(key)
            if item is None:
                self.early[key] = None
                if len(self.early) > MAX_EARLY:
                    self.early.popitem(last=False)
                return
            item.closing = True
            self.changed.wait_for(lambda: item.users == 0)
            children = [k for k, other in self.all.items() if other.device == key]
        for child in children:
            self.close(child)
        with self.changed:
            if self.all.get(key) is not item:
                return  # another call has closed it
            del self.all[key]
        if hasattr(item.value, "close"):
            item.value.close()


@contextlib.contextmanager
def turns(buffers, context):
    """Waits until no other call uses any of the buffers, given by id: everybody takes them in the same order."""
    taken = []
    try:
        for _, item in sorted(buffers.items()):
            while not item.turn.acquire(timeout=0.05):
                if not context.is_active():
                    raise Failure(pb.ERROR_KIND_CANCELLED, "cancelled while it waited for a buffer")
            taken.append(item)
        if not context.is_active():  # it must not come after a later call
            raise Failure(pb.ERROR_KIND_CANCELLED, "cancelled while it waited for a buffer")
        yield
    finally:
        for item in taken:
            item.turn.release()
