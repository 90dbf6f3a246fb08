# Completion of sluice for bash. What fits is told by `sluice __complete`, from the table
# that --help prints.
# shellcheck shell=bash

_sluice() {
	local line=${COMP_LINE:0:COMP_POINT} offer word
	local -a words

	read -ra words <<<"$line"
	[[ $line == *[[:space:]] ]] && words+=('')
	word=${words[-1]}
	COMPREPLY=()
	while IFS=$'\t' read -r offer _; do
		case $offer in
		:files*)
			compopt -o filenames
			mapfile -t COMPREPLY < <(compgen -f -- "${word#*=}")
			;;
		:dirs*)
			compopt -o filenames
			mapfile -t COMPREPLY < <(compgen -d -- "${word#*=}")
			;;
		*)
			# Readline holds what is before a '=' for another word.
			[[ $word == *=* ]] && offer=${offer#*=}
			[[ $offer == *= ]] && compopt -o nospace
			COMPREPLY+=("$offer")
			;;
		esac
	done < <("${words[0]}" __complete "${words[@]:1}" 2>/dev/null)
}

complete -F _sluice sluice
