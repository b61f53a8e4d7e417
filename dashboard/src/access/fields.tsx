/** Fields that several forms about people have. */
import { PasswordInput, TextInput } from '@mantine/core';
import { OkIcon } from '@/kit/icons';
import classes from './door.module.css';

export const PASSWORD_MIN_CHARS = 12;
export const PASSWORD_MAX_CHARS = 256;
export const PERSON_NAME_MAX_CHARS = 64;
export const REASON_MAX_CHARS = 500;

/** What is wrong with a name to sign in by; null: nothing. */
export function nameFault(name: string): string | null {
  if (name === '') return 'A name is needed';
  if (!/^[a-z0-9]/.test(name)) return 'It begins with a letter a-z or a digit';
  return /^[a-z0-9._@-]+$/.test(name) ? null : 'Only a-z, 0-9, “.”, “-”, “_” and “@” are accepted';
}

/** Length is what makes a password strong; nothing else is asked of it. */
export function passwordFault(password: string): string | null {
  const length = [...password].length;
  if (length < PASSWORD_MIN_CHARS) return `At least ${PASSWORD_MIN_CHARS} characters are needed`;
  return length > PASSWORD_MAX_CHARS ? `At most ${PASSWORD_MAX_CHARS} characters are accepted` : null;
}

interface FieldProps {
  value: string;
  onChange: (value: string) => void;
  /** Whether what is wrong is shown already: not while it is typed for the first time. */
  faults: boolean;
  focus?: boolean;
}

export function NameField({ value, onChange, faults, focus = false }: FieldProps) {
  return (
    <TextInput
      label="Name to sign in by"
      description="a-z, 0-9, “.”, “-”, “_”, “@”: ada, or ada@example.com"
      name="username"
      autoComplete="username"
      autoCapitalize="none"
      spellCheck={false}
      required
      withAsterisk={false}
      maxLength={PERSON_NAME_MAX_CHARS}
      value={value}
      data-autofocus={focus || undefined}
      // The form is all there is on the page.
      // oxlint-disable-next-line jsx-a11y/no-autofocus
      autoFocus={focus}
      error={faults || /[^a-z0-9._@-]/.test(value) ? (nameFault(value) ?? undefined) : undefined}
      onChange={(event) => onChange(event.currentTarget.value)}
    />
  );
}

interface NewPasswordProps extends FieldProps {
  label?: string;
  error?: string | undefined;
  required?: boolean;
}

export function NewPassword({ value, onChange, faults, label = 'Password', error, required = true }: NewPasswordProps) {
  const left = PASSWORD_MIN_CHARS - [...value].length;
  const fault = faults && (required || value !== '') ? (passwordFault(value) ?? undefined) : undefined;
  return (
    <div>
      <PasswordInput
        label={label}
        name="new-password"
        autoComplete="new-password"
        required={required}
        withAsterisk={false}
        maxLength={PASSWORD_MAX_CHARS}
        value={value}
        error={error ?? fault}
        onChange={(event) => onChange(event.currentTarget.value)}
      />
      <p className={classes.hint} data-good={left <= 0 || undefined} aria-live="polite">
        {left > 0
          ? (value === '' ? `At least ${PASSWORD_MIN_CHARS} characters. A few words that do not belong together are strong, and easy to keep.` : `${left} more ${left === 1 ? 'character' : 'characters'}`)
          : <><OkIcon size={14} />Long enough; longer is stronger</>}
      </p>
    </div>
  );
}
