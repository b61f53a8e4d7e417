/** Another password: one's own, or that of somebody else. */
import { Button, PasswordInput } from '@mantine/core';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { putPassword } from '@/api/access';
import { OkIcon } from '@/kit/icons';
import { waitsAs } from '@/kit/refused';
import classes from './access.module.css';
import { NewPassword, passwordFault } from './fields';
import { faultAt, Refusal } from './parts';

export function PasswordForm({ person, own, hasOne }: { person: string; own: boolean; hasOne: boolean }) {
  const queries = useQueryClient();
  const [current, setCurrent] = useState('');
  const [password, setPassword] = useState('');
  const [tried, setTried] = useState(false);
  const asksCurrent = own && hasOne;
  const forget = () => {
    setCurrent('');
    setPassword('');
    setTried(false);
  };
  const save = useMutation({
    mutationFn: () => putPassword(person, { password, ...(asksCurrent && { current }) }),
    onError: (error) => {
      if (waitsAs(error) !== null) forget();
    },
    onSuccess: () => {
      forget();
      void queries.invalidateQueries({ queryKey: ['people'] });
      void queries.invalidateQueries({ queryKey: ['sessions'] });
    },
  });
  const ready = passwordFault(password) === null && (!asksCurrent || current !== '');
  return (
    <form
      className={classes.form}
      data-narrow
      onSubmit={(event) => {
        event.preventDefault();
        setTried(true);
        if (ready && !save.isPending) save.mutate();
      }}
    >
      {/* So that a password manager knows whose it is. */}
      <input type="text" name="username" autoComplete="username" value={person} readOnly hidden />
      {asksCurrent && (
        <PasswordInput
          label="Password so far"
          name="password"
          autoComplete="current-password"
          value={current}
          error={tried && current === '' ? 'It is needed' : faultAt(save.error, 'body.current')}
          onChange={(event) => setCurrent(event.currentTarget.value)}
        />
      )}
      <NewPassword label={hasOne ? 'New password' : 'Password'} value={password} onChange={setPassword} faults={tried} error={faultAt(save.error, 'body.password')} />
      <Refusal error={save.error} told={['body.current', 'body.password']} />
      {save.isSuccess && !tried && <p className={classes.done} role="status"><OkIcon />The password is changed.</p>}
      <div className={classes.buttons}><Button type="submit" variant="default" loading={save.isPending}>{hasOne ? 'Change the password' : 'Set a password'}</Button></div>
    </form>
  );
}
