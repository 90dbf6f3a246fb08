# Sluice's boot script for U-Boot: chooses the slot, counts its tries, falls back.
#
#   mkimage -A arm64 -T script -C none -d uboot.cmd boot.scr
#
# It shares these variables with sluice-agent, which writes them all at once:
#   BOOT_ORDER    "A B" or "B A": which slot is tried first
#   BOOT_A_LEFT   boots left to slot a; taken down here, given back by the agent
#   BOOT_A_STATE  bad (never booted), trial or good
#   BOOT_B_LEFT, BOOT_B_STATE  the same of slot b
#   BOOT_SCRIPT   version of this script, so that the agent knows that somebody counts
#
# What depends on the board. Each may be set in U-Boot's environment, or by lines put
# before this script; what is in brackets holds otherwise.
#   sluice_a, sluice_b   partition of each slot's root, like 2 for mmcblk0p2 [2, 3]
#   sluice_root          device of the root for Linux, without that number [/dev/mmcblk0p]
#   sluice_args          the rest of the kernel command line [ro rootwait panic=5]
#   sluice_kernel        path of the kernel in the slot [boot/vmlinuz]
#   sluice_initrd, sluice_fdt   the same of initrd and device tree [none]
#   sluice_boot          booti, bootz or bootm [booti]
#   sluice_rescue        commands for when nothing can be booted [none]
#   sluice_env_file      [none]: U-Boot's own environment and saveenv; redundant in flash
#                        is best. Else the name of a file in FAT with an environment in
#                        U-Boot's format, for where Linux cannot reach U-Boot's own;
#                        NAME.2 beside it is a copy. A length of one sector, 0x200, is
#                        written whole or not at all by Linux.
#   sluice_env_part, sluice_env_len   partition and length of that file [1, 0x200]
# devtype and devnum are where the distro boot command found this script [mmc, 0].
#
# Helpers are named s_..., because saveenv saves them too: so they are set at every boot.
setenv s_type mmc; test -n "${devtype}" && setenv s_type ${devtype}
setenv s_num 0; test -n "${devnum}" && setenv s_num ${devnum}
setenv s_a 2; test -n "${sluice_a}" && setenv s_a ${sluice_a}
setenv s_b 3; test -n "${sluice_b}" && setenv s_b ${sluice_b}
setenv s_root /dev/mmcblk0p; test -n "${sluice_root}" && setenv s_root ${sluice_root}
setenv s_args "ro rootwait panic=5"; test -n "${sluice_args}" && setenv s_args "${sluice_args}"
setenv s_kernel boot/vmlinuz; test -n "${sluice_kernel}" && setenv s_kernel ${sluice_kernel}
setenv s_boot booti; test -n "${sluice_boot}" && setenv s_boot ${sluice_boot}
setenv s_epart 1; test -n "${sluice_env_part}" && setenv s_epart ${sluice_env_part}
setenv s_elen 0x200; test -n "${sluice_env_len}" && setenv s_elen ${sluice_env_len}
setenv s_vars "BOOT_ORDER BOOT_A_LEFT BOOT_A_STATE BOOT_B_LEFT BOOT_B_STATE BOOT_SCRIPT"

# From the file, or from its copy if the file cannot be read or its checksum is wrong.
setenv s_have
setenv s_load 'if load ${s_type} ${s_num}:${s_epart} ${scriptaddr} ${s_file}; then if env import -c ${scriptaddr} ${filesize} ${s_vars}; then setenv s_have 1; fi; fi'
if test -n "${sluice_env_file}"; then
  setenv s_file ${sluice_env_file}; run s_load
  if test -z "${s_have}"; then setenv s_file ${sluice_env_file}.2; run s_load; fi
fi

# An environment that was lost: both slots may be tried, none is known to be good. The
# agent, which keeps records of its own, puts it right.
test -n "${BOOT_ORDER}" || setenv BOOT_ORDER "A B"
test -n "${BOOT_A_LEFT}" || setenv BOOT_A_LEFT 3
test -n "${BOOT_B_LEFT}" || setenv BOOT_B_LEFT 3
test -n "${BOOT_A_STATE}" || setenv BOOT_A_STATE trial
test -n "${BOOT_B_STATE}" || setenv BOOT_B_STATE trial
setenv BOOT_SCRIPT 1

# The tries are durable before the slot is booted. A failure to save is no reason to stay.
# The copy first: whenever the power goes, one of the two is whole.
setenv s_save_file 'env export -c -s ${s_elen} ${scriptaddr} ${s_vars}; fatwrite ${s_type} ${s_num}:${s_epart} ${scriptaddr} ${sluice_env_file}.2 ${s_elen}; fatwrite ${s_type} ${s_num}:${s_epart} ${scriptaddr} ${sluice_env_file} ${s_elen}'
setenv s_save 'if test -n "${sluice_env_file}"; then run s_save_file; else saveenv; fi'

# Boots partition s_part as slot s_slot; comes back if that cannot be.
setenv s_get_fdt 'setenv s_fdt ${fdtcontroladdr}; test -n "${s_fdt}" || setenv s_fdt ${fdt_addr}; if test -n "${sluice_fdt}"; then if load ${s_type} ${s_num}:${s_part} ${fdt_addr_r} ${sluice_fdt}; then setenv s_fdt ${fdt_addr_r}; fi; fi'
setenv s_get_initrd 'setenv s_initrd -; if test -n "${sluice_initrd}"; then if load ${s_type} ${s_num}:${s_part} ${ramdisk_addr_r} ${sluice_initrd}; then setenv s_initrd ${ramdisk_addr_r}:${filesize}; fi; fi'
setenv s_try 'echo "sluice: slot ${s_slot}, left: A ${BOOT_A_LEFT} B ${BOOT_B_LEFT}"; setenv bootargs "root=${s_root}${s_part} sluice.slot=${s_slot} ${s_args}"; if load ${s_type} ${s_num}:${s_part} ${kernel_addr_r} ${s_kernel}; then run s_get_fdt; run s_get_initrd; ${s_boot} ${kernel_addr_r} ${s_initrd} ${s_fdt}; fi; echo "sluice: slot ${s_slot} cannot be booted"'

setenv s_try_a 'if test "${BOOT_A_STATE}" != bad && test ${BOOT_A_LEFT} -gt 0; then setexpr BOOT_A_LEFT ${BOOT_A_LEFT} - 1; run s_save; setenv s_slot a; setenv s_part ${s_a}; run s_try; fi'
setenv s_try_b 'if test "${BOOT_B_STATE}" != bad && test ${BOOT_B_LEFT} -gt 0; then setexpr BOOT_B_LEFT ${BOOT_B_LEFT} - 1; run s_save; setenv s_slot b; setenv s_part ${s_b}; run s_try; fi'
setenv s_walk 'if test "${BOOT_ORDER}" = "B A"; then run s_try_b; run s_try_a; else run s_try_a; run s_try_b; fi'

run s_walk

# Nothing is left. Good slots get their boots again; without a good one, those on trial.
echo "sluice: no slot has boots left"
if test "${BOOT_A_STATE}" = good || test "${BOOT_B_STATE}" = good; then
  test "${BOOT_A_STATE}" = good && setenv BOOT_A_LEFT 3
  test "${BOOT_B_STATE}" = good && setenv BOOT_B_LEFT 3
else
  test "${BOOT_A_STATE}" = bad || setenv BOOT_A_LEFT 3
  test "${BOOT_B_STATE}" = bad || setenv BOOT_B_LEFT 3
fi
run s_walk

test -n "${sluice_rescue}" && run sluice_rescue
echo "sluice: nothing can be booted; again in a minute"
sleep 60
reset
