# Boots slot a.
setenv bootargs "console=ttyAMA0 quiet panic=1 root=/dev/vda2 sluice.slot=a"
load virtio 0:2 ${kernel_addr_r} boot/vmlinuz
load virtio 0:2 ${ramdisk_addr_r} boot/initrd.gz
booti ${kernel_addr_r} ${ramdisk_addr_r}:${filesize} ${fdt_addr}
reset
