"""The types of slots of a device: how they are configured, what there is before the first
start, and what the disk says of them, read without the agent's code."""
import state
from state import Wrong


class FileSlots:
    """Slots of back end `file`: images as files, a link to the one that runs."""

    name = 'file'
    boot_config = ''
    tools = {}  # commands that the agent runs: name -> what they are

    @staticmethod
    def power_on(device):
        """What a boot loader does; this one is the agent itself."""

    config = ("slot: {{dir: disk/slots, initial: {kit}/old.img, initial_version: '1.0', "
              'initial_counter: 1}}')

    @staticmethod
    def prepare(kit, folder):
        """What there is before the agent's first start."""

    @staticmethod
    def image(folder, slot):
        """What a slot holds, as bytes, or None."""
        path = folder / 'slots' / f'{"ab"[slot]}.img'
        return path.read_bytes() if path.exists() else None

    @staticmethod
    def running(folder):
        """What applications read, or None before there was anything."""
        path = folder / 'slots' / 'current'
        if not path.is_symlink():
            return None
        return path.read_bytes() if path.exists() else b''

    @staticmethod
    def table(folder):
        return state.table(folder / 'slots' / 'state')


class DirectorySlots(FileSlots):
    """Slots of type `directory`: archives, unpacked beside themselves."""

    name = 'directory'
    config = ("slot: {{type: directory, dir: disk/slots, initial: {kit}/old.img, "
              "initial_version: '1.0', initial_counter: 1}}")
    PARTS = {'program': (512, 1024), 'data': (1536, -1024)}  # of an image: crash_kit makes them

    @staticmethod
    def image(folder, slot):
        path = folder / 'slots' / f'{"ab"[slot]}.tar'
        return path.read_bytes() if path.exists() else None

    @classmethod
    def running(cls, folder):
        """The image whose files applications find."""
        tree = folder / 'slots' / 'current'
        if not tree.is_symlink():
            return None
        for slot in (0, 1):
            image = cls.image(folder, slot)
            if image and all((tree / n).is_file() and (tree / n).read_bytes() == image[a:b]
                             for n, (a, b) in cls.PARTS.items()):
                return image
        return b''


class BlockSlots:
    """Slots of type `block`: partitions, here files of fixed size, with other people's bytes
    behind the image."""

    name = 'block'
    boot_config, tools = '', {}
    power_on = FileSlots.power_on
    config = ("slot: {{type: block, a: disk/a.part, b: disk/b.part, initial_size: {length}, "
              "initial_version: '1.0', initial_counter: 1}}")
    BEHIND = b'not ours' * 4096

    @classmethod
    def prepare(cls, kit, folder):
        (folder / 'a.part').write_bytes(kit.images['old'] + cls.BEHIND)
        (folder / 'b.part').write_bytes(b'\xff' * len(kit.images['old']) + cls.BEHIND)

    @classmethod
    def image(cls, folder, slot):
        content = (folder / f'{"ab"[slot]}.part').read_bytes()
        if not content.endswith(cls.BEHIND):
            raise Wrong(f'slot {slot}: what lies behind the image was touched')
        return content[:-len(cls.BEHIND)]

    @classmethod
    def running(cls, folder):
        """Nothing is shown to applications: it is what the slot holds that runs."""
        table = cls.table(folder)
        return cls.image(folder, table.current if table else 0)

    @staticmethod
    def table(folder):
        return state.table(folder / 'state' / 'slots')
