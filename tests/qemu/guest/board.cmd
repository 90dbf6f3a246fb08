# What this board needs of deploy/boot/uboot.cmd, which follows. One sector of variables: a
# medium writes it whole or not at all.
setenv sluice_root /dev/vda
setenv sluice_args "console=ttyAMA0 quiet ro panic=1"
setenv sluice_initrd boot/initrd.gz
setenv sluice_env_file uboot.env
setenv sluice_env_len 0x200
