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
# What depends on the board; each may be set in the environment instead of here.
#   sluice_a, sluice_b   partition of each slot's root, "2" for mmcblk0p2
#   sluice_root          device of the root for Linux, without the partition's number
#   sluice_args          the rest of the kernel command line
#   sluice_kernel, sluice_initrd, sluice_fdt   paths in the slot; no initrd or fdt: empty
#   sluice_boot          booti, bootz or bootm
#   sluice_env_file      empty: U-Boot's own environment (saveenv), redundant in flash.
#                        Else a file in FAT on partition sluice_env_part with an
#                        environment in U-Boot's format, where Linux cannot reach
#                        U-Boot's own: a single copy, and weaker for it.
# devtype and devnum are what the distro boot command found this script on.
test -n "${devtype}" || setenv devtype mmc
test -n "${devnum}" || setenv devnum 0
test -n "${sluice_a}" || setenv sluice_a 2
test -n "${sluice_b}" || setenv sluice_b 3
test -n "${sluice_root}" || setenv sluice_root /dev/mmcblk0p
test -n "${sluice_args}" || setenv sluice_args "ro rootwait panic=5"
test -n "${sluice_kernel}" || setenv sluice_kernel boot/vmlinuz
test -n "${sluice_boot}" || setenv sluice_boot booti
test -n "${sluice_env_part}" || setenv sluice_env_part 1
test -n "${sluice_env_len}" || setenv sluice_env_len 0x4000
setenv sluice_vars "BOOT_ORDER BOOT_A_LEFT BOOT_A_STATE BOOT_B_LEFT BOOT_B_STATE BOOT_SCRIPT"

if test -n "${sluice_env_file}"; then
  if load ${devtype} ${devnum}:${sluice_env_part} ${scriptaddr} ${sluice_env_file}; then
    env import -c ${scriptaddr} ${filesize} ${sluice_vars}
  fi
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
setenv sluice_save 'if test -n "${sluice_env_file}"; then env export -c -s ${sluice_env_len} ${scriptaddr} ${sluice_vars}; fatwrite ${devtype} ${devnum}:${sluice_env_part} ${scriptaddr} ${sluice_env_file} ${sluice_env_len}; else saveenv; fi'

# Boots partition sluice_part as slot sluice_slot; comes back if that cannot be.
setenv sluice_load_fdt 'setenv sluice_dtb ${fdtcontroladdr}; test -n "${sluice_dtb}" || setenv sluice_dtb ${fdt_addr}; if test -n "${sluice_fdt}"; then if load ${devtype} ${devnum}:${sluice_part} ${fdt_addr_r} ${sluice_fdt}; then setenv sluice_dtb ${fdt_addr_r}; fi; fi'
setenv sluice_load_initrd 'setenv sluice_rd -; if test -n "${sluice_initrd}"; then if load ${devtype} ${devnum}:${sluice_part} ${ramdisk_addr_r} ${sluice_initrd}; then setenv sluice_rd ${ramdisk_addr_r}:${filesize}; fi; fi'
setenv sluice_try 'echo "sluice: slot ${sluice_slot}, left: A ${BOOT_A_LEFT} B ${BOOT_B_LEFT}"; setenv bootargs "root=${sluice_root}${sluice_part} sluice.slot=${sluice_slot} ${sluice_args}"; if load ${devtype} ${devnum}:${sluice_part} ${kernel_addr_r} ${sluice_kernel}; then run sluice_load_fdt; run sluice_load_initrd; ${sluice_boot} ${kernel_addr_r} ${sluice_rd} ${sluice_dtb}; fi; echo "sluice: slot ${sluice_slot} cannot be booted"'

setenv sluice_try_a 'if test "${BOOT_A_STATE}" != bad && test ${BOOT_A_LEFT} -gt 0; then setexpr BOOT_A_LEFT ${BOOT_A_LEFT} - 1; run sluice_save; setenv sluice_slot a; setenv sluice_part ${sluice_a}; run sluice_try; fi'
setenv sluice_try_b 'if test "${BOOT_B_STATE}" != bad && test ${BOOT_B_LEFT} -gt 0; then setexpr BOOT_B_LEFT ${BOOT_B_LEFT} - 1; run sluice_save; setenv sluice_slot b; setenv sluice_part ${sluice_b}; run sluice_try; fi'
setenv sluice_walk 'if test "${BOOT_ORDER}" = "B A"; then run sluice_try_b; run sluice_try_a; else run sluice_try_a; run sluice_try_b; fi'

run sluice_walk

# Nothing is left. Good slots get their boots again; without a good one, those on trial.
echo "sluice: no slot has boots left"
if test "${BOOT_A_STATE}" = good || test "${BOOT_B_STATE}" = good; then
  test "${BOOT_A_STATE}" = good && setenv BOOT_A_LEFT 3
  test "${BOOT_B_STATE}" = good && setenv BOOT_B_LEFT 3
else
  test "${BOOT_A_STATE}" = bad || setenv BOOT_A_LEFT 3
  test "${BOOT_B_STATE}" = bad || setenv BOOT_B_LEFT 3
fi
run sluice_walk

# sluice_rescue: what the board can do then, like booting over the network.
test -n "${sluice_rescue}" && run sluice_rescue
echo "sluice: nothing can be booted; again in a minute"
sleep 60
reset
